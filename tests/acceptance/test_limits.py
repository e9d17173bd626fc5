"""Rate limits and time limits: what waits is Pending and can be steered, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.verbs_world import Verbs
from tests.waiting import eventually
from tests.workers import Worker, workers

pytestmark = pytest.mark.usefixtures("verbs_worker")


@pytest.fixture(scope="module")
def waiting(verbs: Verbs, verbs_worker: Worker) -> list[str]:
    """Jobs of a task that runs once a minute: the first has run, the others wait."""
    ids = [verbs.submit("rare").id for _ in range(5)]
    verbs.jobs.wait_for(ids[0], timeout=20)
    for job_id in ids[1:]:
        eventually(lambda i=job_id: f"[{i}] received" in verbs_worker.log, within=20)
    return ids[1:]


def test_a_worker_takes_no_message_beyond_its_free_slots(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    [stats] = verbs.module.app.control.inspect().stats().values()
    assert stats["prefetch_count"] == 2


def test_what_waits_for_its_rate_limit_is_pending_and_blocks_no_other_job(
    verbs: Verbs, waiting: list[str]
) -> None:
    others = [verbs.submit("sleep", 0).id for _ in range(4)]
    for job_id in others:
        assert verbs.jobs.wait_for(job_id, timeout=20).result == "slept"
    job = verbs.jobs.get(waiting[0])
    assert (job.status, job.pending_because, job.attempt) == ("pending", "queued", 0)
    assert (job.waiting_grows, job.started_at) == (True, None)


def test_a_job_that_waits_for_its_rate_limit_is_stopped_resumed_canceled_and_revoked(
    verbs: Verbs, waiting: list[str]
) -> None:
    stopped, canceled, revoked, _ = waiting
    assert verbs.jobs.stop(stopped)[0].status == "stopped"
    assert verbs.jobs.resume(stopped)[0].status == "pending"
    verbs.jobs.stop(canceled)
    assert verbs.jobs.cancel(canceled)[0].status == "canceled"
    verbs.module.app.control.revoke(revoked)
    verbs.jobs.wait_for(revoked, "canceled", timeout=20)
    verbs.module.app.control.rate_limit("verbs.rare", "20/s")
    last = verbs.submit("rare").id
    assert verbs.jobs.wait_for(last, timeout=20).status == "finished"


def test_jobs_over_the_rate_limit_all_run_once_and_not_faster(verbs: Verbs) -> None:
    began = time.monotonic()
    ids = [verbs.submit("limited", number).id for number in range(6)]
    stopped = ids.pop()
    verbs.jobs.stop(stopped)
    jobs = [verbs.jobs.wait_for(job_id, timeout=20) for job_id in ids]
    assert time.monotonic() - began > 1.5
    assert [job.result for job in jobs] == [0, 1, 2, 3, 4]
    assert [verbs.lines(job_id, "run") for job_id in ids] == [["run"]] * 5
    eventually(lambda: verbs.lines(stopped, "postrun"), within=20, says="its copy was met")
    assert verbs.lines(stopped, "run") == []
    verbs.jobs.resume(stopped)
    assert verbs.jobs.wait_for(stopped, timeout=20).result == 5


@contextmanager
def claims_wait(verbs: Verbs, job_id: str) -> Iterator[None]:
    """Lock a row, so that its claim waits."""
    with verbs.module.monitor.database.transaction() as connection:
        connection.execute("SELECT FROM job WHERE id = %s FOR UPDATE", (job_id,))
        yield


@pytest.mark.parametrize("limit", ["soft_time_limit", "time_limit"])
def test_a_limit_that_hits_before_the_claim_is_answered_ends_the_job(
    verbs: Verbs, limit: str
) -> None:
    result = verbs.submit("sleep", 30, countdown=1, **{limit: 0.3})
    with claims_wait(verbs, result.id):
        eventually(lambda: verbs.lines(result.id, "prerun"), within=20)
        hit = time.monotonic() + 1
        eventually(lambda: time.monotonic() > hit, says="the limit has hit")
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert (job.has_errors, job.lost) == (True, 0)
    assert "TimeLimitExceeded" in job.error
    eventually(lambda: result.state == "FAILURE", within=20)


def test_a_stopping_job_that_meets_its_hard_limit_is_finished(verbs: Verbs) -> None:
    result = verbs.submit("sleep", 30, time_limit=1)
    verbs.jobs.wait_for(result.id, "running", timeout=20)
    assert verbs.jobs.stop(result.id)[0].status == "stopping"
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert job.error == "TimeLimitExceeded: hard time limit of 1 s"


def test_limits_of_a_call_hold_after_a_stop_and_a_resume(verbs: Verbs) -> None:
    result = verbs.submit("sleep", 30, countdown=60, soft_time_limit=0.3)
    verbs.resume_when_due(result.id)
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert job.error.startswith("SoftTimeLimitExceeded")


def test_the_hard_limit_of_an_app_ends_a_job_of_any_task(verbs: Verbs, tmp_path: Path) -> None:
    strict = Verbs(verbs.module, verbs.environment | {"TIME_LIMIT": "1"})
    result = verbs.submit("sleep", 30, queue="strict")
    with workers(strict.worker(tmp_path, concurrency=1, options=("-Q", "strict"))):
        job = verbs.jobs.wait_for(result.id, timeout=30)
        assert (job.lost, job.error) == (0, "TimeLimitExceeded: hard time limit of 1 s")
        assert eventually(lambda: result.state == "FAILURE", within=20)
