"""jobmonitor on stock `redis://`, where the fair transport is not: what differs there."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]


@pytest.fixture(scope="module")
def broker_url(plain_broker_url: str) -> str:
    """Kombu's own transport."""
    return plain_broker_url


def test_a_scheduled_job_in_the_memory_of_a_killed_worker_runs_elsewhere(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    first = start_worker(concurrency=1)
    result = shop.traced.apply_async(("later",), countdown=4)
    eventually(lambda: f"[{result.id}] received" in first.log)
    first.kill()
    start_worker(concurrency=1)
    job = shop.monitor.jobs.wait_for(result.id, timeout=20)
    assert (job.attempt, job.lost, trace()) == (1, 0, ["later"])


def test_a_job_of_a_killed_worker_runs_on_elsewhere(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    first, second = start_worker(concurrency=1), start_worker(concurrency=1)
    result = shop.count.delay(30, 0.1)
    job = shop.monitor.jobs.wait_for(result.id, "running")
    (first if job.worker.startswith(first.name) else second).kill()
    job = shop.monitor.jobs.wait_for(result.id, timeout=30)
    assert (job.lost, job.has_errors) == (1, False)
    assert set(trace()) == {f"count {step}" for step in range(30)}


def test_low_priority_jobs_run_after_the_others(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    for number in range(3):
        shop.traced.apply_async((f"low {number}",), low_priority=True)
    results = [shop.traced.delay(f"normal {number}") for number in range(3)]
    start_worker(concurrency=1)
    shop.monitor.jobs.wait_for(results[-1].id, timeout=20)
    eventually(lambda: len(trace()) == 6)
    assert [line.split()[0] for line in trace()] == ["normal"] * 3 + ["low"] * 3


def test_a_scheduled_job_is_in_the_memory_of_a_worker(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> None:
    """On the fair transport it is not: it waits in Redis."""
    worker = start_worker(concurrency=1)
    result = shop.traced.apply_async(("much later",), countdown=600)
    inspect = shop.app.control.inspect([f"{worker.name}@test"], timeout=2, limit=1)

    def held() -> list[str]:
        found = (inspect.scheduled() or {}).values()
        return [entry["request"]["id"] for entries in found for entry in entries]

    eventually(lambda: held() == [result.id], within=40)
    queried = inspect.query_task(result.id)
    assert [state for (state, _) in queried[f"{worker.name}@test"].values()] == ["scheduled"]
