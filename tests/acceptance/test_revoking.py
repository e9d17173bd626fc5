"""Celery's revoke: the row is Canceled with its reason, and nothing of it runs afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import group
from celery.canvas import StampingVisitor
from celery.exceptions import TaskRevokedError

from jobmonitor.dispatch import Stored
from tests.acceptance.verbs_world import Verbs
from tests.waiting import eventually
from tests.workers import Worker, workers

pytestmark = pytest.mark.usefixtures("verbs_worker")


class Customer(StampingVisitor):
    """Stamps a canvas with whom it is for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"customer": self.name, "stamped_headers": ["customer"]}


def is_running(verbs: Verbs, job_id: str) -> None:
    verbs.jobs.wait_for(job_id, "running", timeout=20)
    inspect = verbs.module.app.control.inspect
    eventually(
        lambda: job_id in str(inspect(limit=1).active()), within=20, says="main knows its pid"
    )


def test_a_job_that_waits_is_canceled_at_once(verbs: Verbs) -> None:
    result = verbs.submit("sleep", 0, countdown=60)
    result.revoke()
    job = verbs.jobs.wait_for(result.id, "canceled", timeout=20)
    assert (job.attempt, job.due_at, verbs.reason(job.id)) == (0, None, "revoked")
    with pytest.raises(TaskRevokedError, match="revoked"):
        result.get(timeout=20)


def test_a_list_of_ids_is_revoked_and_each_signal_is_sent(verbs: Verbs) -> None:
    ids = [verbs.submit("sleep", 0, countdown=1.5).id for _ in range(2)]
    verbs.module.app.control.revoke(ids)
    for job_id in ids:
        verbs.jobs.wait_for(job_id, "canceled", timeout=20)
        eventually(lambda i=job_id: verbs.lines(i), within=20)
        assert verbs.lines(job_id) == ["revoked False None False"]


@pytest.mark.parametrize(
    ("signal", "number"), [("SIGTERM", 15), ("SIGKILL", 9), ("SIGQUIT", 3)]
)
def test_a_running_job_is_terminated_by_each_signal(
    verbs: Verbs, signal: str, number: int
) -> None:
    result = verbs.submit("sleep", 60)
    is_running(verbs, result.id)
    result.revoke(terminate=True, signal=signal)
    job = verbs.jobs.wait_for(result.id, "canceled", timeout=20)
    assert (job.attempt, job.lost, verbs.reason(job.id)) == (1, 0, "terminated")
    eventually(lambda: verbs.lines(result.id, "revoked"), within=20)
    assert verbs.lines(result.id, "revoked") == [f"revoked True {number} False"]
    assert eventually(lambda: result.state == "REVOKED", within=20)


@pytest.mark.parametrize("signal", ["SIGUSR1", "SIGINT"])
def test_a_signal_that_does_not_kill_fences_the_attempt_out(verbs: Verbs, signal: str) -> None:
    result = verbs.submit("sleep", 2)
    is_running(verbs, result.id)
    result.revoke(terminate=True, signal=signal)
    verbs.jobs.wait_for(result.id, "canceled", timeout=20)
    eventually(lambda: verbs.lines(result.id, "postrun"), within=20)
    assert verbs.jobs.get(result.id).status == "canceled"
    assert result.state == "REVOKED"


def test_a_running_job_that_is_revoked_without_terminate_ends_well(verbs: Verbs) -> None:
    result = verbs.submit("sleep", 1)
    is_running(verbs, result.id)
    result.revoke()
    assert verbs.jobs.wait_for(result.id, timeout=20).result == "slept"
    assert result.get(timeout=20) == "slept"


def test_a_job_that_waits_for_its_retry_is_revoked(verbs: Verbs) -> None:
    result = verbs.submit("flaky", 1, kwargs={"countdown": 60})
    eventually(lambda: verbs.jobs.get(result.id).retries == 1, within=20)
    result.revoke()
    assert verbs.jobs.wait_for(result.id, "canceled", timeout=20).attempt == 1


def test_a_stopped_job_is_revoked_and_cannot_be_resumed(verbs: Verbs) -> None:
    result = verbs.submit("sleep", 0, countdown=60)
    verbs.jobs.stop(result.id)
    result.revoke()
    verbs.jobs.wait_for(result.id, "canceled", timeout=20)
    assert verbs.jobs.resume(result.id)[0].changed is False


def test_jobs_are_revoked_by_their_stamps(verbs: Verbs) -> None:
    sleep = verbs.module.app.tasks["verbs.sleep"]
    canvas = group(sleep.s(60), sleep.si(0).set(countdown=2))
    canvas.stamp(Customer("acme"))
    running, waiting = canvas.apply_async().results
    is_running(verbs, running.id)
    verbs.jobs.stop(waiting.id)
    verbs.jobs.resume(waiting.id)
    verbs.module.app.control.revoke_by_stamped_headers(
        {"customer": ["acme"]}, terminate=True, signal="SIGKILL"
    )
    for result, reason in ((running, "terminated"), (waiting, "revoked")):
        verbs.jobs.wait_for(result.id, "canceled", timeout=20)
        assert verbs.reason(result.id) == reason
    other = sleep.s(0)
    other.stamp(Customer("other"))
    assert verbs.jobs.wait_for(other.apply_async().id, timeout=20).status == "finished"


def test_a_revoked_job_that_ignores_its_result_stores_none(verbs: Verbs) -> None:
    result = verbs.submit("forgetful", "well", countdown=60)
    verbs.jobs.stop(result.id)
    verbs.jobs.cancel(result.id)
    told = "SELECT outbox IS NULL FROM job WHERE id = %s"
    with verbs.module.monitor.database.connection() as connection:
        eventually(lambda: connection.execute(told, (result.id,)).fetchone()[0], within=20)
    assert result.state == "PENDING"


def test_an_expired_copy_of_a_running_job_says_nothing_of_it(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    result = verbs.submit("flaky", 1, kwargs={"countdown": 2}, expires=1)
    eventually(lambda: verbs.jobs.get(result.id).retries == 1, within=20)
    publish_expired_copy(verbs, result.id)
    eventually(lambda: verbs_worker.log.count(f"[{result.id}] received") == 3, within=20)
    assert verbs.jobs.wait_for(result.id, timeout=20).result == 1
    assert result.get(timeout=20) == 1
    assert verbs.lines(result.id, "revoked") == []


def publish_expired_copy(verbs: Verbs, job_id: str) -> None:
    """Let the broker deliver an old copy of a job's message, as after a lost worker."""
    dispatch = verbs.module.monitor.dispatch
    with verbs.module.monitor.database.connection() as connection:
        row = connection.execute(
            "SELECT envelope, body FROM job_message WHERE job_id = %s", (job_id,)
        ).fetchone()
    message = dispatch.unpack(Stored(row[0], bytes(row[1])))
    message.headers |= {"eta": None, "expires": "2020-01-01T00:00:00+00:00"}

    with verbs.module.app.producer_or_acquire(None) as producer:
        row = SimpleNamespace(dispatch=1, root_id=job_id, weight=1, low_priority=False)
        dispatch.publish(producer, message, row)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_revoke_outlives_the_worker(verbs: Verbs, tmp_path: Path, keeps: bool) -> None:
    options = ("-Q", "slow", *(("--statedb", str(tmp_path / "state")) * keeps))
    with workers(verbs.worker(tmp_path, concurrency=1, options=options)) as (first,):
        result = verbs.submit("sleep", 0, countdown=5, queue="slow")
        result.revoke()
        verbs.jobs.wait_for(result.id, "canceled", timeout=20)
        first.stop()
    with workers(verbs.worker(tmp_path, concurrency=1, options=options)) as (second,):
        refused = f"a delivery of job {result.id}"
        discarded = f"Discarding revoked task: verbs.sleep[{result.id}]"
        eventually(lambda: (discarded if keeps else refused) in second.log, within=30)
    assert verbs.lines(result.id, "run") == []
    assert verbs.jobs.get(result.id).status == "canceled"
