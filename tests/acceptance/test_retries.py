"""A job that waits for its retry: what its row says, and what a person can do with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.verbs_world import Verbs
from tests.waiting import eventually
from tests.workers import Worker

pytestmark = pytest.mark.usefixtures("verbs_worker")


def waits_for_retry(verbs: Verbs, **options: object) -> str:
    """Submit a job whose first attempt asks for another one in a minute."""
    result = verbs.submit("flaky", 1, kwargs={"countdown": 60}, **options)
    eventually(lambda: verbs.jobs.get(result.id).pending_because == "retry", within=20)
    return result.id


def test_its_row_says_when_and_that_it_is_a_retry(verbs: Verbs) -> None:
    asked = datetime.now(UTC)
    job = verbs.jobs.get(waits_for_retry(verbs))
    assert (job.status, job.retries, job.attempt, job.has_errors) == ("pending", 1, 1, False)
    assert timedelta(seconds=55) < job.due_at - asked < timedelta(seconds=75)
    assert (job.finished_at, job.error, job.operations[0]) == (None, None, "stop")
    assert verbs.module.app.AsyncResult(job.id).state == "RETRY"
    verbs.jobs.stop(job.id)
    verbs.jobs.cancel(job.id)


def test_stopped_and_resumed_it_still_waits_for_its_time(verbs: Verbs) -> None:
    job_id = waits_for_retry(verbs)
    due_at = verbs.jobs.get(job_id).due_at
    assert verbs.jobs.stop(job_id)[0].status == "stopped"
    assert verbs.jobs.resume(job_id)[0].status == "pending"
    job = verbs.jobs.get(job_id)
    assert (job.due_at, job.pending_because, job.retries) == (due_at, "retry", 1)
    verbs.jobs.stop(job_id)
    verbs.jobs.cancel(job_id)


def test_stopped_and_resumed_after_its_time_it_runs_its_retry_once(verbs: Verbs) -> None:
    job_id = waits_for_retry(verbs)
    verbs.resume_when_due(job_id)
    job = verbs.jobs.wait_for(job_id, timeout=20)
    assert (job.retries, job.attempt, job.result, job.has_errors) == (1, 2, 1, False)
    assert verbs.lines(job_id, "run") == ["run 0", "run 1"]
    assert verbs.module.app.AsyncResult(job_id).get(timeout=10) == 1


def test_canceled_it_never_runs_and_its_caller_is_told(verbs: Verbs) -> None:
    job_id = waits_for_retry(verbs)
    verbs.jobs.stop(job_id)
    assert verbs.jobs.cancel(job_id)[0].status == "canceled"
    result = verbs.module.app.AsyncResult(job_id)
    eventually(lambda: result.state == "REVOKED", within=20)
    assert verbs.lines(job_id, "run") == ["run 0"]


def test_a_stop_while_it_runs_keeps_the_retry_it_then_asks_for(verbs: Verbs) -> None:
    result = verbs.submit("slow_retry")
    eventually(lambda: verbs.lines(result.id, "run"), within=20)
    assert verbs.jobs.stop(result.id)[0].status == "stopping"
    stopped = verbs.jobs.wait_for(result.id, "stopped", timeout=20)
    assert stopped.retries == 1
    verbs.jobs.resume(result.id)
    assert verbs.jobs.wait_for(result.id, timeout=20).result == "second"


def test_a_job_that_has_started_does_not_expire_with_its_retry(verbs: Verbs) -> None:
    result = verbs.submit("flaky", 1, kwargs={"countdown": 1.5}, expires=1)
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert (job.status, job.attempt, job.result) == ("finished", 2, 1)


def test_a_job_that_has_started_does_not_expire_when_it_is_resumed(verbs: Verbs) -> None:
    result = verbs.submit("counts", 40, expires=1)
    eventually(lambda: verbs.lines(result.id, "run"), within=20)
    verbs.jobs.stop(result.id)
    stopped = verbs.jobs.wait_for(result.id, "stopped", timeout=20)
    eventually(lambda: (datetime.now(UTC) - stopped.created_at).total_seconds() > 1)
    verbs.jobs.resume(result.id)
    assert verbs.jobs.wait_for(result.id, timeout=20).result == 40


def test_a_retry_that_says_when_it_expires_does(verbs: Verbs) -> None:
    result = verbs.submit("flaky", 1, kwargs={"countdown": 1, "expires": 0.2})
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert (job.status, job.attempt, verbs.reason(job.id)) == ("canceled", 1, "expired")
    assert verbs.module.app.AsyncResult(job.id).state == "REVOKED"


def test_a_retry_in_another_queue_is_shown_there(verbs: Verbs) -> None:
    job = verbs.jobs.wait_for(verbs.submit("moves").id, timeout=20)
    assert (job.queue, job.retries, job.result) == ("other", 1, "moved")
    assert verbs.lines(job.id, "run") == ["run verbs", "run other"]


def test_the_other_arguments_of_a_retry_are_kept_over_a_stop(verbs: Verbs) -> None:
    result = verbs.submit("changes", "once", kwargs={"later": 60})
    eventually(lambda: verbs.jobs.get(result.id).retries == 1, within=20)
    assert verbs.jobs.get(result.id).args == ["once again"]
    verbs.resume_when_due(result.id)
    assert verbs.jobs.wait_for(result.id, timeout=20).result == "once again!"


def test_celerys_state_is_started_while_it_runs_and_never_for_a_refused_copy(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    result = verbs.submit("counts", 40)
    eventually(lambda: result.state == "STARTED", within=20)
    assert result.info["pid"] == verbs.jobs.get(result.id).worker_pid
    verbs.jobs.stop(result.id)
    verbs.jobs.wait_for(result.id, "stopped", timeout=20)
    verbs.jobs.cancel(result.id)
    waiting = verbs.submit("sleep", 0, countdown=1)
    verbs.jobs.stop(waiting.id)
    eventually(lambda: f"a delivery of job {waiting.id}" in verbs_worker.log, within=20)
    assert waiting.state == "PENDING"
