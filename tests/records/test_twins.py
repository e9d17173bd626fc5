"""Verbs that say the same twice, once for speed: what they leave behind is equal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobmonitor.records.store import Ending, NewJob, Report
from tests.factories import NOTHING, RAISED, RETURNED, Records, new_job

AHEAD = datetime.now(UTC) + timedelta(days=1)
PAST = datetime.now(UTC) - timedelta(days=1)
TABLES = ("job", "job_message", "job_children", "job_event", "job_run", "job_hold")
Row = dict[str, Any]


def all_rows(records: Records) -> dict[str, list[Row]]:
    """Everything that is there, but what only says when or in which order it was written."""
    found = {table: records.sql(f"SELECT to_jsonb(t) FROM {table} t") for table in TABLES}
    return {
        table: sorted((_without_clock(row) for (row,) in rows), key=repr)
        for table, rows in found.items()
    }


def _without_clock(row: Row) -> Row:
    moments = {"at", *(name for name in row if name.endswith(("_at", "_since")))} & row.keys()
    known = {row.get("due_at"): "due", None: None}
    clean = row | {name: known.get(row[name], "now") for name in moments - {"due_at"}}
    for name in ("ran", "waited", "first_wait"):
        if clean.get(name):
            clean[name] = round(clean[name], -2)
    if "event" in row:
        del clean["id"]
    return clean


# -- create and create_many -----------------------------------------------------------------


def populate(records: Records) -> None:
    """Parents of every kind, by their names."""
    records.clear()
    records.worker("w1")
    running = {
        "root": {"run_by": "alice", "low_priority": True, "weight": 3.0},
        "child": {"under": "root"},
        "restarted": {"restartable": True}, "system": {"system": True}, "stopped": {},
        "released": {"under": "stopped"}, "canceled": {}, "below": {"under": "canceled"},
        "held system": {"system": True},
    }  # fmt: skip
    for name, facts in running.items():
        records.make(name, **facts)
        records.claim(name, claimed_as="claim")
    for group in ("group", "closed group"):
        records.store.create_group(
            group, label=group, queue="celery", run_by="bob", system=False, low_priority=False
        )
    records.sql("UPDATE job SET status = 'finished' WHERE id = 'closed group'")
    records.finish("restarted")
    records.operate("restart", "restarted")
    records.make("first", under="root", key="taken")
    holds = {"stopped": "stop", "released": "release", "canceled": "cancel"}
    for name, operation in {**holds, "held system": "stop"}.items():
        records.hold(name, operation)


SUBMISSIONS: dict[str, Row] = {
    "a root": {"key": "means nothing", "weight": 2.5, "args": "[1]", "kwargs": "{}"},
    "a root with all": {
        "run_by": "carol", "low_priority": True, "system": True, "stoppable": True,
        "restartable": True, "label": "all", "step_of": "root", "queue": "other",
        "body": b"\x00\xff", "type": "shop.export",
    },
    "due": {"due_at": AHEAD},
    "due before": {"due_at": PAST},
    "a child": {"parent_id": "root", "key": "own"},
    "a child of its own": {"parent_id": "root", "run_by": "dave", "low_priority": False},
    "a key that is there": {"parent_id": "root", "key": "taken"},
    "an id that is there": {"id": "first", "parent_id": "root"},
    "a grandchild": {"parent_id": "child"},
    "a child due": {"parent_id": "child", "due_at": AHEAD},
    "of an earlier run": {"parent_id": "restarted", "parent_run": 1, "key": "same"},
    "of this run": {"parent_id": "restarted", "parent_run": 2, "key": "same"},
    "of the run there is": {"parent_id": "restarted", "key": "another"},
    "of a system job": {"parent_id": "system"},
    "of a system job, stoppable": {"parent_id": "system", "stoppable": True},
    "of a stopped job": {"parent_id": "stopped"},
    "of a stopped job, due": {"parent_id": "stopped", "due_at": AHEAD},
    "of a stopped job, system": {"parent_id": "stopped", "system": True},
    "of a released job": {"parent_id": "released"},
    "of a canceled job": {"parent_id": "canceled"},
    "of a canceled job, due": {"parent_id": "canceled", "due_at": AHEAD},
    "below a canceled job": {"parent_id": "below"},
    "of a held system job": {"parent_id": "held system"},
    "of a held system job, stoppable": {"parent_id": "held system", "stoppable": True},
    "of a group": {"parent_id": "group"},
    "of a closed group": {"parent_id": "closed group"},
    "of nobody": {"parent_id": "nobody", "key": "lost"},
}  # fmt: skip


def submission(name: str) -> NewJob:
    facts = dict(SUBMISSIONS[name])
    return new_job(facts.pop("id", name), **facts)


def one_by_one(records: Records, jobs: list[NewJob]) -> set[Any]:
    made = [(job.id, records.store.create(job)) for job in jobs]
    return {(job_id, *_said(row)) for job_id, row in made if row}


def at_once(records: Records, jobs: list[NewJob]) -> set[Any]:
    made = records.store.create_many(jobs)
    return {(row.id, *_said(row)) for row in made}


def _said(row: Any) -> tuple[Any, ...]:
    """What the publisher learns of a new row."""
    return row.status, row.dispatch, row.low_priority, row.root_id, row.weight


def left_by(records: Records, create: Callable[..., Any], jobs: list[NewJob]) -> Any:
    populate(records)
    return create(records, jobs), all_rows(records)


def test_many_submissions_leave_the_same_rows_by_themselves_and_in_a_batch(
    records: Records,
) -> None:
    jobs = [submission(name) for name in SUBMISSIONS]
    answer, rows = left_by(records, at_once, jobs)
    answers, expected = left_by(records, one_by_one, jobs)
    assert answer == answers
    for table in TABLES:
        assert rows[table] == expected[table]
    assert {job_id for job_id, *_ in answer} == SUBMISSIONS.keys() - {
        "a key that is there", "an id that is there",
    }  # fmt: skip
    assert {"pending", "stopped", "canceled"} == {status for _, status, *_ in answer}


# -- finish and finish_running --------------------------------------------------------------


ENDINGS = {
    "a value": Ending(has_errors=False, result='{"a": 1}', result_is_whole=True),
    "part of a value": Ending(has_errors=False, result="[1, 2"),
    "an error": Ending(has_errors=True, error="ValueError: no", traceback="Traceback: here"),
    "an error in the log": Ending(has_errors=True, result="null"),
}
REPORTS = {
    "nothing": NOTHING,
    "progress": Report(done=3, total=7, message="three", has_progress=True),
    "a checkpoint": Report(checkpoint='{"state": 1}', safe=True),
    "no text": Report(done=None, total=None, message=None, has_progress=True),
}


def left_by_end(
    records: Records, parent: str | None, report: Report, ending: Ending, *, is_plain: bool
) -> Any:
    populate(records)
    records.make("plain", under=parent)
    records.claim("plain", claimed_as="claim")
    before = Report(done=1, total=5, message="one", has_progress=True, checkpoint="0")
    records.advance("plain", before)
    records.let_pass(1_000, "plain")
    stored = records.store.finish(records.fence("plain"), report, ending, is_plain=is_plain)
    return bool(stored.in_group), all_rows(records)


@pytest.mark.parametrize(
    ("parent", "report", "ending"),
    [
        (None, "nothing", "a value"), ("child", "progress", "part of a value"),
        ("group", "a checkpoint", "an error"), ("released", "no text", "an error in the log"),
        ("child", "no text", "an error"), ("group", "progress", "a value"),
    ],
)  # fmt: skip
def test_a_plain_job_ends_the_same_in_its_usual_case_and_in_every_case(
    records: Records, parent: str | None, report: str, ending: str
) -> None:
    how = (parent, REPORTS[report], ENDINGS[ending])
    quick = left_by_end(records, *how, is_plain=True)
    assert quick == left_by_end(records, *how, is_plain=False)
    assert quick[0] == (parent == "group")


@pytest.mark.parametrize("ending", [RETURNED, RAISED], ids=["returned", "raised"])
def test_a_plain_job_that_was_asked_to_stop_ends_the_same(
    records: Records, ending: Ending
) -> None:
    left = []
    for is_plain in (True, False):
        populate(records)
        records.make("plain", under="child")
        records.claim("plain", claimed_as="claim")
        records.operate("stop", "plain")
        records.store.finish(records.fence("plain"), NOTHING, ending, is_plain=is_plain)
        left.append(all_rows(records))
    assert left[0] == left[1]
    events = [row["reason"] for row in left[0]["job_event"] if row["job_id"] == "plain"]
    assert "the stop came too late" in events
