"""What holds on every pool: the core of the acceptance tests, on one worker of each other kind.

Prefork runs all of them: see the other modules here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis
from celery import chain, chord

from jobmonitor.transport.keys import base_of
from tests.acceptance_fixtures import APP, tasks_beside
from tests.waiting import eventually
from tests.workers import Worker, workers

Trace = Callable[[], list[str]]


@pytest.fixture(scope="module")
def tasks(shop: ModuleType) -> Iterator[ModuleType]:
    """The tasks of these tests, in the app."""
    with tasks_beside("tests.acceptance.pool_tasks") as module:
        yield module


@pytest.fixture(scope="module", params=["threads", "gevent", "solo"])
def worker(
    request: pytest.FixtureRequest,
    tasks: ModuleType,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    """A worker with this pool; it has four slots, with solo one."""
    one = Worker(
        APP, environment, tmp_path_factory.mktemp("log"), concurrency=4,
        options=(f"--pool={request.param}", f"--include={tasks.__name__}"),
    )  # fmt: skip
    with workers(one):
        one.pool = request.param
        yield one


def lines(shop: ModuleType, job_id: str) -> list[str]:
    page = shop.monitor.jobs.logs(job_id, newest_first=False, limit=1_000)
    return [line.message for line in page.lines]


# -- what every pool does ------------------------------------------------------------------


def test_a_worker_tells_the_broker_how_many_jobs_it_runs_at_once(
    worker: Worker, environment: dict[str, str]
) -> None:
    slots = 1 if worker.pool == "solo" else 4
    meta = f"{base_of('', 'celery')}meta"
    with redis.Redis.from_url(environment["RESULT_URL"]) as client:
        eventually(
            lambda: client.hget(meta, "capacity") == str(slots).encode(),
            within=15, says=f"{slots} slots are known",
        )  # fmt: skip


def test_a_job_has_its_record_its_result_and_its_error(
    shop: ModuleType, worker: Worker
) -> None:
    with shop.monitor.acting("alice"):
        good, bad = shop.add.delay(1, 2), shop.fail.delay("out of paper")
    job = shop.monitor.jobs.wait_for(good.id)
    assert (job.result, job.run_by, job.attempt, job.has_errors) == (3, "alice", 1, False)
    assert job.created_at <= job.started_at <= job.finished_at
    assert good.get(timeout=10) == 3
    job = shop.monitor.jobs.wait_for(bad.id)
    assert (job.has_errors, job.error) == (True, "ValueError: out of paper")
    assert eventually(lambda: bad.state == "FAILURE")


def test_a_job_stops_at_its_checkpoint_and_resumes_behind_it(
    shop: ModuleType, worker: Worker, trace: Trace
) -> None:
    jobs = shop.monitor.jobs
    job = shop.count.delay(50)
    eventually(lambda: len(trace()) > 3)
    assert jobs.stop(job.id)[0].status == "stopping"
    assert 0 < jobs.wait_for(job.id, "stopped", timeout=20).progress.percent < 100
    jobs.resume(job.id)
    assert jobs.wait_for(job.id, timeout=20).progress.percent == 100
    assert trace() == [f"count {step}" for step in range(50)]
    assert job.get(timeout=10) == 50


def test_a_job_is_canceled_or_runs_again(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    later, again = shop.add.apply_async((1, 2), countdown=60), shop.count.delay(2, 0)
    jobs.stop(later.id)
    assert jobs.cancel(later.id)[0].status == "canceled"
    jobs.wait_for(again.id)
    jobs.restart(again.id)
    eventually(lambda: (jobs.get(again.id).run, jobs.get(again.id).status) == (2, "finished"))
    eventually(lambda: later.state == "REVOKED", within=20)


def test_a_retry_keeps_the_row(shop: ModuleType, worker: Worker, trace: Trace) -> None:
    result = shop.flaky.delay(2)
    job = shop.monitor.jobs.wait_for(result.id, timeout=30)
    assert (job.retries, job.attempt, job.has_errors) == (2, 3, False)
    assert trace() == ["flaky 0", "flaky 1", "flaky 2"]


def test_children_a_chain_and_a_chord_are_trees(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    top = shop.grandparent.delay()
    steps = chain(shop.add.s(1, 1), shop.add.s(2))()
    both = chord([shop.add.s(1, 1), shop.add.s(2, 2)])(shop.total.s())
    assert (steps.get(timeout=20), both.get(timeout=20)) == (4, 6)
    eventually(lambda: jobs.get(top.id).descendants.finished == 4)
    assert [node.depth for node in jobs.tree(top.id)] == [0, 1, 2, 2, 1]
    last, body = jobs.get(steps.id), jobs.get(both.id)
    assert (last.parent_id, last.root_id) == (last.root_id, jobs.get(last.root_id).id)
    eventually(lambda: jobs.get(body.root_id).status == "finished")


def test_what_a_job_logs_is_there_and_marks_it(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    result = shop.log_until.delay(str(marker), logging.ERROR)
    eventually(lambda: lines(shop, result.id) == ["before"], within=20)
    marker.touch()
    job = shop.monitor.jobs.wait_for(result.id)
    assert lines(shop, job.id) == ["before", "after"]
    assert (job.has_errors, job.error, job.result) == (True, None, "done")
    noted = shop.monitor.jobs.wait_for(shop.note_error.delay(1).id)
    assert (noted.has_errors, lines(shop, noted.id)) == (True, ["a bad row (row=0)"])


def test_each_of_many_jobs_at_once_finds_itself_also_in_its_threads(
    shop: ModuleType, tasks: ModuleType, worker: Worker
) -> None:
    results = [tasks.who_am_i.delay(5) for _ in range(4)]
    for result in results:
        job = shop.monitor.jobs.wait_for(result.id, timeout=30)
        assert result.get(timeout=10) == [result.id, [result.id]]
        said, printed = f"said by {result.id}", f"printed by {result.id}"
        assert lines(shop, result.id) == [said, said, printed] * 5
        assert job.children.total == 1


def test_what_the_pool_is_called_is_known(shop: ModuleType, worker: Worker) -> None:
    with shop.monitor.database.connection() as connection:
        query = "SELECT pool FROM worker WHERE node = %s"
        found = connection.execute(query, (f"{worker.name}@test",)).fetchone()
    assert found == (worker.pool,)


# -- where the pool cannot kill ------------------------------------------------------------


def test_a_force_stop_fences_the_attempt_out_and_says_so(
    shop: ModuleType, tasks: ModuleType, worker: Worker, trace: Trace, tmp_path: Path
) -> None:
    jobs = shop.monitor.jobs
    marker = tmp_path / "marker"
    job = tasks.hear_nothing.delay(str(marker), submits=True)
    jobs.wait_for(job.id, "running", timeout=20)
    jobs.stop(job.id)
    [outcome] = jobs.force_stop(job.id, reason="it hangs")
    assert (outcome.changed, outcome.status) == (True, "stopped")
    assert outcome.reason == (
        f"fenced out, not killed: a {worker.pool} pool cannot kill a job; what it still does "
        "is not recorded, and it ends at its next checkpoint"
    )
    assert jobs.events(job.id)[-1]["reason"] == (
        f"it hangs; fenced out, not killed: a {worker.pool} pool cannot kill a job"
    )
    marker.touch()
    eventually(lambda: trace() == ["began", "ended"])
    eventually(lambda: f"the end of job {job.id} is refused" in worker.log)
    found = jobs.get(job.id)
    assert (found.status, found.result, found.attempt) == ("stopped", None, 1)
    assert job.state not in {"SUCCESS", "FAILURE", "REVOKED"}
    assert [one.job.status for one in jobs.tree(job.id)] == ["stopped", "stopped"]
    eventually(
        lambda: not is_unacknowledged(shop, job.id), says="the old delivery is acknowledged"
    )
    jobs.resume(job.id)
    assert jobs.wait_for(job.id, timeout=20).attempt == 2
    assert job.get(timeout=10) == "ended"


def test_it_is_resumed_while_the_old_attempt_still_runs(
    shop: ModuleType, worker: Worker, trace: Trace
) -> None:
    if worker.pool == "solo":
        pytest.skip(
            "solo runs one job at a time: the next attempt waits for the end of the old"
        )
    jobs = shop.monitor.jobs
    job = shop.count.delay(100, 0.05)
    eventually(lambda: len(trace()) > 30)
    jobs.stop(job.id)
    jobs.force_stop(job.id)
    jobs.resume(job.id)
    done = jobs.wait_for(job.id, timeout=30)
    assert (done.attempt, done.has_errors, done.lost) == (2, False, 0)
    assert job.get(timeout=10) == 100
    assert set(trace()) == {f"count {step}" for step in range(100)}
    assert len(trace()) < 180
    eventually(lambda: not is_unacknowledged(shop, job.id))


def test_a_worker_stays_in_the_group_that_its_starter_signals(worker: Worker) -> None:
    assert os.getpgid(worker.pid) == os.getpgid(0)


def test_a_worker_says_goodbye(shop: ModuleType, worker: Worker) -> None:
    assert worker.stop() == 0
    with shop.monitor.database.connection() as connection:
        query = "SELECT ended_at IS NOT NULL FROM worker WHERE node = %s"
        found = connection.execute(query, (f"{worker.name}@test",)).fetchone()
    assert found == (True,)


def is_unacknowledged(shop: ModuleType, job_id: str) -> bool:
    with shop.app.connection_for_read() as connection:
        deliveries = connection.default_channel.client.hvals("unacked")
    return any(job_id.encode() in delivery for delivery in deliveries)
