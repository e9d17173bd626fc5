"""A hold: from the answer on nothing below it starts, and the nearest one decides."""

from __future__ import annotations

import threading

import pytest

from tests.factories import Records
from tests.waiting import eventually

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_what_is_submitted_below_a_stop_is_born_stopped(records: Records) -> None:
    root, _ = records.make_family(1)
    records.operate("stop", root)
    born = records.make(under=root)
    assert records.status(born) == "stopped"
    assert records.view(born).waiting_seconds == 0


def test_what_is_submitted_below_a_cancel_is_born_canceled(records: Records) -> None:
    root, child = records.make_family(1)
    records.operate("stop", root)
    records.operate("cancel", root)
    born = records.make(under=root)
    assert records.status(child, born) == "canceled canceled"
    assert records.view(root).children.finished == 2


def test_a_claim_below_a_hold_is_refused(records: Records) -> None:
    root, child = records.make_family(1)
    records.hold(root)
    assert records.claim(child).verdict == "held"
    assert records.status(child) == "stopped"


@pytest.mark.parametrize("holds", [("stop", "release"), ("cancel", "release")])
def test_the_nearest_hold_wins(records: Records, holds: tuple[str, str]) -> None:
    root, child = records.make_family(1)
    records.hold(root, holds[0])
    records.hold(child, holds[1])
    assert records.claim(child).verdict == "run"


def test_a_child_that_is_resumed_runs_below_its_stopped_parent(records: Records) -> None:
    root, child, other = records.make_family(2)
    records.operate("stop", root)
    assert records.operate("resume", child).changed
    assert records.claim(child).verdict == "run"
    assert records.status(records.make(under=child), other) == "pending stopped"


def test_a_system_job_is_touched_by_no_hold(records: Records) -> None:
    root = records.make_running()
    records.operate("stop", root)
    system = records.make(under=root, system=True)
    assert records.claim(system).verdict == "run"


def test_a_stop_takes_up_the_holds_below_it(records: Records) -> None:
    root, child = records.make_family(1)
    records.operate("stop", child)
    records.operate("stop", root)
    assert records.holds() == {root: "stop"}
    records.operate("resume", root)
    assert records.status(child) == "pending"


def test_a_refused_stop_leaves_no_hold(records: Records) -> None:
    root = records.make_running()
    records.finish(root)
    assert not records.operate("stop", root).changed
    assert records.holds() == {}


def test_settle_waits_for_a_claim_that_began_before_the_hold(records: Records) -> None:
    root, child = records.make_family(1)
    settled = threading.Event()
    facts = {"root_id": root}
    for held in records.holding(child):
        thread = threading.Thread(
            target=lambda: (records.database.rows("settle", facts), settled.set())
        )
        thread.start()
        eventually(lambda: records.sql(WAITING)[0][0] == 1, says="settle waits")
        assert held.hold is None
        assert not settled.is_set()
    thread.join(timeout=10)
    assert settled.is_set()


def test_settle_does_not_wait_for_another_tree(records: Records) -> None:
    root, other = records.make_running(), records.make_running()
    for _ in records.holding(other):
        records.database.rows("settle", {"root_id": root})
