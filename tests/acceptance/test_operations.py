"""Each row of the table of operations, on real workers."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType

from jobmonitor.worker.presence import process_lives
from tests.waiting import eventually
from tests.workers import Worker


def running(shop: ModuleType, job_id: str) -> None:
    shop.monitor.jobs.wait_for(job_id, "running", timeout=10)


def test_a_running_job_stops_at_its_next_checkpoint_and_resumes_behind_it(
    shop: ModuleType, worker: Worker, trace
) -> None:
    jobs = shop.monitor.jobs
    job = shop.count.delay(60)
    eventually(lambda: len(trace()) > 3)
    [outcome] = jobs.stop(job.id, reason="lunch")
    asked = time.monotonic()
    assert (outcome.changed, outcome.status) == (True, "stopping")
    stopped = jobs.wait_for(job.id, "stopped", timeout=5)
    assert time.monotonic() - asked < 3
    assert 0 < stopped.progress.percent < 100
    [outcome] = jobs.resume(job.id)
    assert outcome.changed
    assert jobs.wait_for(job.id, timeout=10).progress.percent == 100
    assert trace() == [f"count {step}" for step in range(60)]
    assert job.get(timeout=5) == 60


def test_a_waiting_job_is_stopped_whatever_its_type(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    job = shop.listen.apply_async((0.1,), countdown=30)
    assert jobs.get(job.id).pending_because == "due"
    assert jobs.stop(job.id)[0].status == "stopped"
    assert jobs.resume(job.id)[0].status == "pending"
    resumed = jobs.get(job.id)
    assert resumed.pending_because == "due"
    assert resumed.due_at is not None
    jobs.stop(job.id)
    jobs.cancel(job.id)


def test_a_listener_stays_stopping_until_it_completes(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    job = shop.listen.delay(2.5)
    running(shop, job.id)
    jobs.stop(job.id)
    assert jobs.wait_for(job.id, timeout=10).status == "finished"
    entries = jobs.events(job.id)
    assert entries[-1]["reason"] == "the stop came too late"


def test_a_force_stop_kills_the_process_and_what_the_job_started(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    jobs = shop.monitor.jobs
    bystander = shop.count.delay(40)
    pid_file = tmp_path / "pid"
    job = shop.hang_with_subprocess.delay(str(pid_file))
    started = int(eventually(lambda: pid_file.exists() and pid_file.read_text()))
    pool = worker.children
    assert jobs.force_stop(job.id)[0].reason == (
        "only a stopping job can be force-stopped; this one is In Progress"
    )
    jobs.stop(job.id)
    asked = time.monotonic()
    assert jobs.force_stop(job.id)[0].status == "stopped"
    eventually(lambda: not process_lives(started), within=2)
    assert time.monotonic() - asked < 2
    eventually(lambda: len(worker.children) == 2 and worker.children != pool)
    assert jobs.wait_for(bystander.id, timeout=10).has_errors is False
    assert job.state not in {"FAILURE", "REVOKED"}
    assert jobs.get(job.id).status == "stopped"
    assert jobs.resume(job.id)[0].status in {"pending", "running"}  # it may have begun already
    running(shop, job.id)
    jobs.stop(job.id)
    jobs.force_stop(job.id)
    jobs.cancel(job.id)


def test_a_canceled_job_never_runs_again_and_celery_knows(
    shop: ModuleType, worker: Worker
) -> None:
    jobs = shop.monitor.jobs
    job = shop.add.apply_async((1, 2), countdown=60)
    assert jobs.cancel(job.id)[0].reason == (
        "only a stopped job can be canceled; this one is Pending"
    )
    jobs.stop(job.id)
    assert jobs.cancel(job.id)[0].status == "canceled"
    assert jobs.resume(job.id)[0].changed is False
    eventually(lambda: job.state == "REVOKED", within=10)


def test_a_finished_job_is_restarted_in_a_new_run(
    shop: ModuleType, worker: Worker, trace
) -> None:
    jobs = shop.monitor.jobs
    job = shop.count.delay(3, 0)
    first = jobs.wait_for(job.id)
    [outcome] = jobs.restart(job.id)
    assert outcome.changed
    eventually(lambda: jobs.get(job.id).run == 2 and jobs.get(job.id).status == "finished")
    again = jobs.get(job.id)
    assert trace() == ["count 0", "count 1", "count 2"] * 2
    assert again.created_at == first.created_at
    assert again.started_at > first.started_at
    assert [run["run"] for run in jobs.runs(job.id)] == [1]
    other = shop.add.delay(1, 1)
    jobs.wait_for(other.id)
    assert jobs.restart(other.id)[0].reason == "its task does not say restartable=True"


def test_low_priority_is_set_and_removed_on_a_waiting_job(
    shop: ModuleType, worker: Worker
) -> None:
    jobs = shop.monitor.jobs
    job = shop.traced.apply_async(("low",), countdown=2)
    assert jobs.set_low_priority(job.id)[0].changed
    assert jobs.get(job.id).low_priority is True
    assert jobs.set_low_priority(job.id)[0].reason == "it has low priority already"
    assert jobs.remove_low_priority(job.id)[0].changed
    assert jobs.wait_for(job.id, timeout=10).low_priority is False


def test_operations_reach_the_descendants(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    parent = shop.fan_out_of_slow.delay(4)
    eventually(lambda: jobs.get(parent.id).children.total == 4, within=10)
    jobs.wait_for(parent.id, "finished")
    top = jobs.get(parent.id)
    assert top.shown_status == "Finished · 4 children left"
    assert "stop" in top.operations
    [outcome] = jobs.stop(parent.id)
    assert (outcome.changed, outcome.descendants_changed) == (True, 4)
    eventually(lambda: _statuses(shop, parent.id) == {"stopped"}, within=10)
    assert jobs.resume(parent.id)[0].descendants_changed == 4
    assert jobs.stop(parent.id)[0].descendants_changed == 4
    eventually(lambda: _statuses(shop, parent.id) == {"stopped"}, within=10)
    assert jobs.cancel(parent.id)[0].descendants_changed == 4
    assert _statuses(shop, parent.id) == {"canceled"}
    assert jobs.get(parent.id).children.finished == 4


def _statuses(shop: ModuleType, job_id: str) -> set[str]:
    return {str(node.job.status) for node in shop.monitor.jobs.tree(job_id) if node.depth}


def test_a_system_job_offers_no_stop(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    job = shop.tidy.apply_async(countdown=1)
    [outcome] = jobs.stop(job.id)
    assert outcome.reason == (
        "a system job can be stopped or canceled only if its task says stoppable=True"
    )
    assert "stop" not in jobs.get(job.id).operations
    assert jobs.wait_for(job.id, timeout=10).has_errors is False


def test_an_operation_on_many_answers_for_each(shop: ModuleType, worker: Worker) -> None:
    jobs = shop.monitor.jobs
    one = shop.add.apply_async((1, 1), countdown=60)
    two = shop.add.delay(1, 1)
    jobs.wait_for(two.id)
    with shop.monitor.acting("alice"):
        outcomes = jobs.stop([one.id, two.id, "nobody"], reason="tidying up")
    assert [item.changed for item in outcomes] == [True, False, False]
    assert outcomes[1].reason == (
        "only a job that waits or runs can be stopped; this one is Finished"
    )
    assert outcomes[2].reason == "there is no job with this id"
    entry = jobs.events(one.id)[-1]
    assert (entry["actor"], entry["reason"]) == ("alice", "tidying up")
    jobs.cancel(one.id)
