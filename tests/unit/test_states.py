"""The table of operations, row by row."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from jobmonitor.states import (
    FINAL,
    Descendants,
    Operation,
    Standing,
    Status,
    fits_below,
    operations_offered,
    possible,
    refusal,
)

ON_A_TREE = [operation for operation in Operation if operation is not Operation.RESTART]
PRIORITY = [Operation.SET_LOW_PRIORITY, Operation.REMOVE_LOW_PRIORITY]
FITS = {
    Operation.STOP: "pending running",
    Operation.RESUME: "stopped",
    Operation.FORCE_STOP: "stopping",
    Operation.CANCEL: "stopped",
    Operation.RESTART: "finished",
    Operation.SET_LOW_PRIORITY: "pending running stopping stopped",
    Operation.REMOVE_LOW_PRIORITY: "pending running stopping stopped",
}


def standing(status: str, **facts: Any) -> Standing:
    """An ordinary job that may be restarted."""
    ordinary = {"system": False, "stoppable": True, "restartable": True, "low_priority": False}
    return Standing(status=Status(status), **(ordinary | facts))


def below(status: str, *, guarded: bool = False, low: bool = False) -> frozenset[Descendants]:
    """One kind of unfinished descendants."""
    return frozenset({Descendants(Status(status), guarded, low)})


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("operation", Operation)
def test_an_operation_fits_the_statuses_of_its_row(
    operation: Operation, status: Status
) -> None:
    job = standing(status, low_priority=operation is Operation.REMOVE_LOW_PRIORITY)
    assert (refusal(operation, job) is None) == (status in FITS[operation].split())


@pytest.mark.parametrize(
    ("operation", "status", "reason"),
    [
        (
            "stop", "stopped",
            "only a job that waits or runs can be stopped; this one is Stopped",
        ),
        ("resume", "running", "only a stopped job can be resumed; this one is In Progress"),
        ("force-stop", "pending", "stop it: nothing runs yet"),
        (
            "force-stop", "running",
            "only a stopping job can be force-stopped; this one is In Progress",
        ),
        ("cancel", "pending", "only a stopped job can be canceled; this one is Pending"),
        ("restart", "canceled", "only a finished job can be restarted; this one is Canceled"),
        ("remove-low-priority", "pending", "it has no low priority"),
        (
            "set-low-priority", "finished",
            "only a job that is not final can be set to low priority; this one is Finished",
        ),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_that_says_why(
    operation: str, status: str, reason: str
) -> None:
    assert refusal(Operation(operation), standing(status)) == reason


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("operation", Operation)
def test_what_is_not_offered_has_a_reason(operation: Operation, status: Status) -> None:
    job = standing(status)
    assert (operation in operations_offered(job)) == (not refusal(operation, job))


@pytest.mark.parametrize("status", Status)
def test_what_is_offered_is_possible_in_every_other_status_too(status: Status) -> None:
    for system, stoppable, restartable in product((False, True), repeat=3):
        facts = {"system": system, "stoppable": stoppable, "restartable": restartable}
        job = standing(status, **facts)
        assert set(operations_offered(job)) <= set(possible(job))
        assert possible(job) == possible(standing("pending", **facts))


def test_what_can_never_be_done_is_not_possible() -> None:
    guarded = {"stop", "force-stop", "cancel"}
    every = set(Operation)
    assert set(possible(standing("running", restartable=True))) == every
    assert set(possible(standing("running", restartable=False))) == every - {"restart"}
    tidy = standing("running", system=True, stoppable=False, restartable=True)
    assert set(possible(tidy)) == every - guarded


@pytest.mark.parametrize("operation", ["stop", "force-stop", "cancel"])
def test_a_system_job_takes_no_stop_unless_its_task_says_so(operation: str) -> None:
    status = FITS[Operation(operation)].split()[0]
    guarded = standing(status, system=True, stoppable=False)
    assert "stoppable=True" in (refusal(Operation(operation), guarded) or "")
    tame = standing(status, system=True, stoppable=True)
    assert refusal(Operation(operation), tame) is None


@pytest.mark.parametrize("operation", ["resume", "restart", *PRIORITY])
def test_a_system_job_takes_the_other_operations(operation: str) -> None:
    status = FITS[Operation(operation)].split()[0]
    facts = {"low_priority": operation == "remove-low-priority"}
    job = standing(status, system=True, stoppable=False, **facts)
    assert refusal(Operation(operation), job) is None


@pytest.mark.parametrize("status", ["pending", "running"])
def test_a_job_that_is_not_stoppable_can_still_be_stopped(status: str) -> None:
    assert refusal(Operation.STOP, standing(status, stoppable=False)) is None


def test_only_a_restartable_job_can_be_restarted() -> None:
    job = standing("finished", restartable=False)
    assert refusal(Operation.RESTART, job) == "its task does not say restartable=True"


@pytest.mark.parametrize(
    ("left", "reason"), [(1, "1 child is not finished"), (3, "3 children are not finished")]
)
def test_a_job_whose_last_run_left_something_is_not_restarted(left: int, reason: str) -> None:
    job = standing("finished", unfinished=left, unfinished_of_run=left)
    assert refusal(Operation.RESTART, job) == reason


def test_what_an_earlier_run_left_does_not_forbid_a_restart() -> None:
    job = standing("finished", unfinished=2, unfinished_of_run=0, below=below("pending"))
    assert refusal(Operation.RESTART, job) is None


def test_a_job_whose_end_is_not_handed_on_is_not_restarted_yet() -> None:
    reason = refusal(Operation.RESTART, standing("finished", told=False))
    assert reason is not None
    assert "being handed on" in reason


@pytest.mark.parametrize("operation", ON_A_TREE)
def test_a_finished_parent_offers_what_fits_its_descendants(operation: Operation) -> None:
    low = operation is Operation.REMOVE_LOW_PRIORITY
    for status in Status:
        parent = standing("finished", below=below(status, low=low))
        assert fits_below(operation, parent) == (status in FITS[operation].split())


def test_a_restart_is_never_that_of_a_descendant() -> None:
    assert not fits_below(Operation.RESTART, standing("finished", below=below("finished")))


@pytest.mark.parametrize("operation", ["stop", "force-stop", "cancel"])
def test_guarded_descendants_offer_no_stop_to_their_parent(operation: str) -> None:
    status = FITS[Operation(operation)].split()[0]
    parent = standing("finished", below=below(status, guarded=True))
    assert Operation(operation) not in operations_offered(parent)


def test_a_guarded_parent_does_not_stop_its_descendants() -> None:
    parent = standing("running", system=True, stoppable=False, below=below("running"))
    assert Operation.STOP not in operations_offered(parent)


def test_a_priority_is_offered_where_it_changes_something() -> None:
    low = standing("finished", below=below("pending", low=True))
    assert operations_offered(low)[-1:] == [Operation.REMOVE_LOW_PRIORITY]
    both = standing("pending", below=below("pending", low=True))
    assert operations_offered(both)[-2:] == PRIORITY


def test_a_group_is_steered_through_its_members() -> None:
    group = standing("running", is_group=True, restartable=False, below=below("running"))
    assert refusal(Operation.STOP, group) == (
        "a group runs nothing itself; the operation acts on its members"
    )
    assert operations_offered(group) == [Operation.STOP, Operation.SET_LOW_PRIORITY]


def test_what_waits_for_its_members_is_stopped_through_them() -> None:
    replaced = standing("pending", for_members=True)
    assert refusal(Operation.STOP, replaced) == "its members run; the operation acts on them"
    assert Operation.STOP not in operations_offered(replaced)


def test_people_read_a_running_job_as_in_progress() -> None:
    assert [status.shown for status in Status] == [
        "Pending", "In Progress", "Stopping", "Stopped", "Finished", "Canceled",
    ]  # fmt: skip


def test_finished_and_canceled_are_final() -> None:
    assert {"finished", "canceled"} == FINAL
