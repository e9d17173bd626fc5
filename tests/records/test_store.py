"""The verbs of a job's life against real rows: times, fences, keys, costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from jobmonitor.records.database import Database, fetch
from jobmonitor.records.store import Fence, Report, Store
from tests.factories import LOST_MAX, NOTHING, RAISED, RETURNED, Records, new_job

NEARLY = 0.9


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


# -- times ---------------------------------------------------------------------------------


def test_waiting_ends_where_running_begins(records: Records) -> None:
    job = records.make()
    records.let_pass(100, job)
    records.claim(job)
    records.let_pass(50, job)
    view = records.view(job)
    assert view.waiting_seconds == pytest.approx(100, abs=NEARLY)
    assert view.duration_seconds == pytest.approx(50, abs=NEARLY)


def test_stopped_time_counts_as_neither(records: Records) -> None:
    job = records.make_running()
    records.let_pass(10, job)
    records.operate("stop", job)
    records.halt(job)
    records.let_pass(1_000, job)
    records.operate("resume", job)
    records.let_pass(20, job)
    view = records.view(job)
    assert view.waiting_seconds == pytest.approx(20, abs=NEARLY)
    assert view.duration_seconds == pytest.approx(10, abs=NEARLY)


def test_a_pending_job_that_is_stopped_keeps_the_wait_it_had(records: Records) -> None:
    job = records.make()
    records.let_pass(30, job)
    records.operate("stop", job)
    records.let_pass(1_000, job)
    assert records.view(job).waiting_seconds == pytest.approx(30, abs=NEARLY)


def test_before_its_due_time_a_job_does_not_wait(records: Records) -> None:
    job = records.make(due_at=in_an_hour())
    assert records.view(job).pending_because == "due"
    records.let_pass(3_000, job)
    assert records.view(job).waiting_seconds == 0
    records.let_pass(700, job)
    assert records.view(job).waiting_seconds == pytest.approx(100, abs=NEARLY)


def test_resume_keeps_a_due_time_that_is_still_ahead(records: Records) -> None:
    job = records.make(due_at=in_an_hour())
    due_at = records.view(job).due_at
    records.operate("stop", job)
    records.operate("resume", job)
    view = records.view(job)
    assert (view.pending_because, view.due_at) == ("due", due_at)
    assert view.waiting_seconds == 0


def test_a_new_run_begins_its_times_anew(records: Records) -> None:
    job = records.make_running(restartable=True)
    records.let_pass(100, job)
    records.finish(job, RAISED)
    created = records.view(job).created_at
    records.operate("restart", job)
    view = records.view(job)
    assert (view.run, view.started_at, view.has_errors) == (2, None, False)
    assert view.created_at == created
    [earlier] = records.queries.runs(job)
    assert earlier["ran"] == pytest.approx(100, abs=NEARLY)


# -- keys and ids --------------------------------------------------------------------------


def test_an_id_exists_once(records: Records) -> None:
    job = records.make()
    assert records.store.create(new_job(job)) is None


def test_a_key_is_unique_within_a_parents_run(records: Records) -> None:
    root = records.make_running(restartable=True)
    first = records.make(under=root, key="row 1")
    repeated = new_job(parent_id=root, key="row 1")
    assert records.store.create(repeated) is None
    assert records.store.existing(repeated).id == first
    records.claim(first)
    records.finish(first)
    records.finish(root)
    records.operate("restart", root)
    assert records.store.create(repeated) is not None


def test_a_key_means_nothing_without_a_parent(records: Records) -> None:
    assert {records.row(records.make(key="a")).key for _ in range(2)} == {None}


def test_a_child_inherits_what_it_is_not_given(records: Records) -> None:
    facts = {"run_by": "alice", "low_priority": True, "system": True}
    root = records.make_running(**facts)
    row = records.row(records.make(under=root))
    assert (row.run_by, row.low_priority, row.system, row.stoppable) == (
        "alice", True, True, False,
    )  # fmt: skip
    other = records.row(records.make(under=root, run_by="bob", low_priority=False))
    assert (other.run_by, other.low_priority) == ("bob", False)


# -- fences --------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["advance", "halt", "finish"])
def test_an_attempt_that_lost_its_job_writes_nothing(records: Records, write: str) -> None:
    job = records.make_running()
    before = records.fence(job)
    records.silence("w1")
    assert records.claim(job, worker="w2").verdict == "run"
    more = (RETURNED,) if write == "finish" else ()
    assert getattr(records.store, write)(before, NOTHING, *more) is None
    assert (records.row(job).attempt, records.status(job)) == (2, "running")


def test_two_attempts_of_one_number_are_told_apart_by_their_claims(records: Records) -> None:
    job = records.make()
    before = records.row(job)
    writes = records.writes(job)
    records.forget_claim(before)
    records.claim(job, worker="w2")
    assert records.row(job).attempt == 1
    assert writes.finish(NOTHING, RAISED) is None
    assert not writes.is_finished()
    assert (records.status(job), records.row(job).error) == ("running", None)


@pytest.mark.parametrize("write", ["advance", "finish"])
def test_a_claim_that_a_crash_forgot_is_made_again(records: Records, write: str) -> None:
    job = records.make()
    before = records.row(job)
    writes = records.writes(job)
    records.forget_claim(before)
    assert records.status(job) == "pending"
    more = (RETURNED,) if write == "finish" else ()
    assert getattr(writes, write)(NOTHING, *more) is not None
    assert (records.row(job).attempt, records.row(job).worker) == (1, "w1")


def test_the_claim_of_what_must_not_run_twice_is_on_disk(
    records: Records, one_connection: Store
) -> None:
    modes = []
    for rerun in (True, False):
        delivery = records.delivery(records.make(), rerun=rerun)
        with one_connection.database.transaction() as connection:
            assert fetch(connection, "claim_pending", asdict(delivery))
            modes += [connection.execute("SHOW synchronous_commit").fetchone()[0]]
    assert modes == ["off", "on"]


@pytest.mark.parametrize("hold_only", [True, False])
def test_where_a_stop_came_after_the_crash_the_attempt_is_over_and_resume_publishes(
    records: Records, hold_only: bool
) -> None:
    job = records.make()
    before = records.row(job)
    writes = records.writes(job)
    records.forget_claim(before)
    if hold_only:
        records.hold(job)
    else:
        records.operate("stop", job)
    assert writes.finish(NOTHING, RETURNED) is None
    assert records.row(job).taken_dispatch == 1
    records.operate("stop", job)
    assert records.operate("resume", job).changed
    assert records.published == [(job, 2)]


def test_a_job_of_a_living_worker_is_run_once(records: Records) -> None:
    job = records.make_running()
    assert records.claim(job, worker="w2").verdict == "duplicate"
    assert records.row(job).attempt == 1


def test_an_older_message_runs_nothing(records: Records) -> None:
    job = records.make()
    records.operate("set-low-priority", job)
    assert records.published == [(job, 2)]
    assert records.claim(job, dispatch=1).verdict == "stale"
    assert records.claim(job, dispatch=2).verdict == "run"


def test_a_job_whose_worker_is_lost_too_often_is_finished_with_errors(
    records: Records,
) -> None:
    job = records.make_running()
    for _ in range(LOST_MAX):
        assert records.lose(job).outcome == "again"
        records.claim(job)
    assert records.lose(job).outcome == "failed"
    row = records.row(job)
    assert (row.status, row.has_errors, row.outbox) == ("finished", True, "fail")


def test_each_loss_delays_the_next_attempt_longer(records: Records) -> None:
    job = records.make_running()
    delays = []
    for _ in range(LOST_MAX):
        due_at = records.lose(job).due_at
        delays.append(round((due_at - datetime.now(UTC)).total_seconds()) if due_at else 0)
        records.claim(job)
    assert delays == [0, 30, 300]


def test_a_finish_that_owes_nothing_leaves_no_message(records: Records) -> None:
    job = records.make_running()
    records.finish(job)
    assert not records.has_message(job)


def test_a_finish_that_owes_a_tail_hands_back_its_outcome(records: Records) -> None:
    job = records.make()
    records.claim(job, continues=True)
    records.finish(job)
    assert records.claim(job).verdict == "continue"
    records.store.continue_(job, 1, fired=True)
    assert records.claim(job).verdict == "stale"
    assert not records.has_message(job)


def test_a_submission_is_taken_back_unless_a_worker_has_it(records: Records) -> None:
    waits, runs = records.make(), records.make_running()
    assert records.store.take_back(waits)
    assert not records.store.take_back(runs)
    assert records.queries.get(waits) is None


def test_of_many_that_are_taken_back_each_parent_forgets_its_own(records: Records) -> None:
    one, other = records.make_family(3), records.make_family(2)
    alone = records.make()
    records.claim(one[1])
    below = records.make_running(under=other[0])
    grandchild = records.make(under=below)
    assert records.store.take_back(*one[1:], *other[1:], grandchild, alone, "nobody") == 6
    assert [records.view(parent).children.total for parent in (one[0], other[0], below)] == [
        1, 1, 0,
    ]  # fmt: skip
    assert [records.view(root).descendants.total for root in (one[0], other[0])] == [1, 1]
    assert [row[0] for row in records.sql("SELECT id FROM job ORDER BY id")] == sorted(
        [one[0], one[1], other[0], below]
    )
    assert not any(records.has_message(job) for job in (one[2], other[1], grandchild, alone))


def test_a_run_of_the_history_counts_its_own_attempts(records: Records) -> None:
    job = records.make_running(restartable=True)
    for attempts in (1, 3, 2):
        for _ in range(attempts - 1):
            records.retry(job)
            assert records.claim(job).verdict == "run"
        records.finish(job)
        records.operate("restart", job)
        records.claim(job)
    assert [run["attempts"] for run in records.queries.runs(job)] == [1, 3, 2]
    assert records.row(job).attempt == 7


def test_a_safe_point_is_dated_though_it_saved_nothing(records: Records) -> None:
    job = records.make_running()
    records.advance(job, Report(done=1, has_progress=True))
    assert records.row(job).checkpoint_at is None
    records.advance(job, Report(safe=True))
    first = records.row(job).checkpoint_at
    records.operate("stop", job)
    records.halt(job)
    assert first is not None
    assert records.row(job).checkpoint_at > first


def test_a_cancel_drops_the_checkpoint(records: Records) -> None:
    job = records.make_running()
    records.advance(job, Report(checkpoint='{"state": 1}'))
    records.operate("stop", job)
    records.halt(job)
    records.operate("cancel", job)
    assert records.row(job).checkpoint is None
    records.told(job)
    assert not records.has_message(job)


# -- what it costs -------------------------------------------------------------------------


@pytest.fixture
def one_connection(records: Records) -> Iterator[Store]:
    """A store whose statements all take the same connection."""
    database = Database(records.database.url, pool_size=1)
    yield Store(database)
    database.close()


def test_status_changes_stay_in_their_page(records: Records, one_connection: Store) -> None:
    records.sql("TRUNCATE job")  # an empty page has room for each version of three rows
    deliveries = [records.delivery(records.make()) for _ in range(3)]
    with one_connection.database.transaction() as connection:
        for delivery in deliveries:
            fetch(connection, "claim_pending", asdict(delivery))
            end = {"slot": 0} | asdict(Fence(delivery.id, 1, delivery.claimed_as))
            fetch(connection, "finish", end | asdict(NOTHING) | asdict(RETURNED))
        changed = connection.execute(
            b"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables "
            b"WHERE relname = 'job'"
        ).fetchone()
    assert changed == (6, 6)


def round_trips(store: Store, call: Callable[[], object]) -> int:
    """Count how often the client waits for the server: each ends with a Sync."""
    with tempfile.TemporaryFile() as file:
        with store.database.connection() as connection:
            connection.pgconn.trace(file.fileno())
        call()
        with store.database.connection() as connection:
            connection.pgconn.untrace()
        file.seek(0)
        return file.read().count(b"Sync")


def test_the_verbs_of_every_job_outlive_a_rollback(
    records: Records, one_connection: Store
) -> None:
    for _ in range(2):
        job = new_job()
        assert one_connection.create(job).status == "pending"
        delivery = records.delivery(job.id)
        assert one_connection.claim(delivery).verdict == "run"
        assert one_connection.advance(records.fence(job.id), NOTHING) == "running"
        fence = records.fence(job.id)
        assert one_connection.finish(fence, NOTHING, RETURNED, is_plain=True) is not None
        with pytest.raises(ZeroDivisionError), one_connection.database.transaction() as inside:
            inside.execute("SELECT 1")
            raise ZeroDivisionError
        with one_connection.database.connection() as connection:
            connection.execute("SELECT 1")


def test_create_claim_and_finish_are_one_round_trip_each(
    records: Records, one_connection: Store
) -> None:
    store, counts = one_connection, []
    for _ in range(3):
        job = new_job()
        counts = [round_trips(store, lambda job=job: store.create(job))]
        delivery = records.delivery(job.id)
        counts += [round_trips(store, lambda delivery=delivery: store.claim(delivery))]
        fence = records.fence(job.id)
        counts += [
            round_trips(store, lambda fence=fence: store.finish(fence, NOTHING, RETURNED))
        ]
    assert counts == [1, 1, 1]
