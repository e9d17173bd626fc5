"""What became of a job, in a sentence; see flask_panel/outcomes.py."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flask_panel.outcomes import QUESTIONS, WORDS, stop_advice, tell
from jobmonitor.operations import Outcome
from jobmonitor.states import Operation, Status

AGO = datetime(2024, 3, 6, 12, tzinfo=UTC)


def job(**facts: Any) -> Any:
    """What a sentence looks at: a stoppable job that runs and has reached a checkpoint."""
    group = facts.pop("is_group", False)
    usual = {
        "label": None, "type": "shop.add", "status": Status.RUNNING, "stoppable": True,
        "checkpoint_at": AGO, "standing": SimpleNamespace(is_group=group),
    }  # fmt: skip
    return SimpleNamespace(**usual | facts)


def sentence(operation: Operation, outcome: Outcome, view: Any = None) -> str:
    return tell(operation, outcome, view or job()).sentence


def test_every_operation_has_a_word_and_what_it_did() -> None:
    assert list(WORDS) == list(Operation)
    said = [sentence(operation, Outcome("x", True, "stopped")) for operation in Operation]
    assert len(set(said)) == len(Operation)


def test_what_costs_something_is_asked_before() -> None:
    assert set(QUESTIONS) == {Operation.FORCE_STOP, Operation.CANCEL}
    for question in QUESTIONS.values():
        assert question.endswith("?")


@pytest.mark.parametrize(
    ("view", "title"),
    [(job(label="Export 7"), "Export 7"), (job(), "shop.add"), (None, "an-id")],
)
def test_a_job_is_called_by_its_label_its_type_or_its_id(view: Any, title: str) -> None:
    told = tell(Operation.STOP, Outcome("an-id", False, None, 0, "no"), view)
    assert (told.id, told.title, told.changed) == ("an-id", title, False)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome("x", False, "finished", 0, "only a job that waits"), "only a job that waits"),
        (Outcome("x", False, "finished"), "nothing changed"),
        (Outcome("x", True, "stopped"), "stopped"),
        (Outcome("x", True, "stopped", 1), "stopped; 1 below it changed"),
        (Outcome("x", True, "stopped", 1_234), "stopped; 1,234 below it changed"),
        (Outcome("x", True, "finished", 2, "it has ended"), "it has ended; 2 below it changed"),
        (Outcome("x", True, "stopping"), "stopping: it ends at its next checkpoint"),
    ],
    ids=str,
)
def test_a_stop_says_what_it_did(outcome: Outcome, says: str) -> None:
    assert sentence(Operation.STOP, outcome) == says


def test_a_stop_of_a_job_that_is_gone_meanwhile_still_says_something() -> None:
    told = tell(Operation.STOP, Outcome("x", True, "stopping"), None)
    assert told.sentence == "stopping: it ends at its next checkpoint"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, None),
        ({"checkpoint_at": None}, "the stop ends with the job"),
        ({"checkpoint_at": None, "status": Status.STOPPING}, "the stop ends with the job"),
        ({"stoppable": False}, "it stays Stopping until it completes"),
        ({"stoppable": False, "checkpoint_at": None}, "until it completes"),
        ({"stoppable": False, "is_group": True}, None),
        *[
            ({"status": status, "checkpoint_at": None, "stoppable": False}, None)
            for status in Status
            if status not in {Status.RUNNING, Status.STOPPING}
        ],
    ],
    ids=str,
)
def test_the_advice_says_what_a_stop_comes_to(facts: dict[str, Any], says: str | None) -> None:
    advice = stop_advice(job(**facts))
    assert (advice is None) if says is None else (says in (advice or ""))
