"""A message that can never run: the job has ended, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.concurrency.prefork import TaskPool

from jobmonitor.records.store import Store
from jobmonitor.settings import Settings
from jobmonitor.worker.side import WorkerSide
from tests.factories import Records
from tests.waiting import eventually

WHY = "NotRegistered: nobody knows it"


def test_a_pending_job_ends_with_its_error_and_keeps_its_message(records: Records) -> None:
    job_id = records.make(restartable=False)
    assert Store(records.database).unrunnable(job_id, 1, WHY).id == job_id
    row = records.row(job_id)
    assert (row.status, row.has_errors, row.error, row.attempt) == ("finished", True, WHY, 0)
    assert (row.restartable, row.taken_dispatch, row.waiting_since) == (True, 1, None)
    assert records.sql("SELECT body FROM job_message WHERE job_id = %s", job_id)


def test_of_a_stopped_job_only_the_message_is_gone(records: Records) -> None:
    job_id = records.make()
    records.operate("stop", job_id)
    assert Store(records.database).unrunnable(job_id, 1, WHY) is None
    row = records.row(job_id)
    assert (row.status, row.has_errors, row.taken_dispatch) == ("stopped", False, 1)


def test_what_runs_or_was_published_again_is_left_alone(records: Records) -> None:
    running, pending = records.make_running("running"), records.make("pending")
    store = Store(records.database)
    assert store.unrunnable(running, 1, WHY) is None
    assert store.unrunnable(pending, 0, WHY) is None
    assert store.unrunnable("nobody", 1, WHY) is None
    assert records.row(running).status == "running"
    assert records.row(pending).status == "pending"


def test_the_parent_counts_it_as_finished_with_errors(records: Records) -> None:
    parent = records.make_running("parent")
    child = records.make("child", under=parent)
    Store(records.database).unrunnable(child, 1, WHY)
    [(total, finished, errors)] = records.sql(
        "SELECT sum(total), sum(finished), sum(with_errors) FROM job_children"
        " WHERE job_id = %s", parent,
    )  # fmt: skip
    assert (total, finished, errors) == (1, 1, 1)


def test_the_group_is_closed_in_which_it_was_the_last_and_only_then(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.store.create_group(
        "group", label="two", queue="celery", run_by=None, system=False, low_priority=False
    )
    member = records.make_running("member", under="group")
    below = [records.make(under=member) for _ in range(2)]
    records.finish(member)
    side = _side(records)
    monkeypatch.setattr(side, "end", lambda write: write())
    side.end_unrunnable(below[0], 1, WHY)
    assert records.status("group") == "running"
    side.end_unrunnable(below[1], 1, WHY)
    assert records.status("group", member, *below) == "finished finished finished finished"


def _side(records: Records) -> WorkerSide:
    """What a worker does beside running jobs; its threads are not started."""
    monitor = SimpleNamespace(
        database=records.database, store=records.store, settings=Settings(),
        execution=SimpleNamespace(worker="w1"),
    )  # fmt: skip
    return WorkerSide(monitor, SimpleNamespace(pool_cls=TaskPool))


def test_a_message_that_arrives_before_its_publisher_committed_waits_for_it(
    records: Records,
) -> None:
    job_id = records.make()
    ended = _judged_before_the_commit(
        records, job_id, "dispatch = 2", lambda: records.store.unrunnable(job_id, 2, WHY)
    )
    assert ended.id == job_id
    assert records.row(job_id).error == WHY


def test_a_message_that_is_given_back_before_its_publisher_committed_is_that_of_a_pending_job(
    records: Records,
) -> None:
    job_id = records.make()
    records.operate("stop", job_id)
    facts = {"id": job_id, "dispatch": 2, "event": "returned", "reason": WHY,
             "due_at": datetime.now(UTC) + timedelta(seconds=30)}  # fmt: skip
    returned = _judged_before_the_commit(
        records, job_id, "status = 'pending', dispatch = 2",
        lambda: records.database.row("handed_back", facts),
    )  # fmt: skip
    assert returned.id == job_id
    assert records.row(job_id).pending_because == "due"


def test_a_message_that_is_used_up_before_its_publisher_committed_is_published_again(
    records: Records,
) -> None:
    job_id = records.make()
    facts = {"id": job_id, "dispatch": 2}
    _judged_before_the_commit(
        records, job_id, "dispatch = 2", lambda: records.database.rows("note_taken", facts)
    )
    assert records.row(job_id).taken_dispatch == 2


def _judged_before_the_commit(
    records: Records, job_id: str, change: str, judge: Callable[[], Any]
) -> Any:
    """Judge a row while who publishes again, as an operation does, holds its lock."""
    with ThreadPoolExecutor(1) as thread, records.database.connection() as publisher:
        with publisher.transaction():
            publisher.execute(f"UPDATE job SET {change} WHERE id = %s", (job_id,))
            judged = thread.submit(judge)
            eventually(lambda: _waits_for_a_lock(records))
        return judged.result(timeout=10)


def _waits_for_a_lock(records: Records) -> bool:
    return bool(records.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
