"""Signals of a job's life, sent where it happens and after it is committed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from jobmonitor import signals
from tests.waiting import eventually
from tests.workers import Worker


def test_submitting_and_steering_send_signals_here(shop: ModuleType, worker: Worker) -> None:
    heard: list[tuple[str, str]] = []
    jobs = shop.monitor.jobs

    def listener(name: str) -> Any:
        def hear(sender: Any = None, job_id: str = "", **_: Any) -> None:
            heard.append((name, jobs.get(job_id).status))

        return hear

    names = ("job_created", "job_resumed", "job_canceled")
    listeners = {name: listener(name) for name in names}
    for name in names:
        getattr(signals, name).connect(listeners[name])
    job = shop.add.apply_async((1, 1), countdown=60)
    jobs.stop(job.id)
    jobs.resume(job.id)
    jobs.stop(job.id)
    jobs.cancel(job.id)
    assert heard == [
        ("job_created", "pending"), ("job_resumed", "pending"), ("job_canceled", "canceled"),
    ]  # fmt: skip


def test_running_and_ending_send_signals_in_the_worker(
    shop: ModuleType, worker: Worker, trace: Any
) -> None:
    shop.monitor.jobs.wait_for(shop.heard.delay(False).id)
    shop.monitor.jobs.wait_for(shop.heard.delay(True).id)
    eventually(lambda: len(trace()) == 4)
    assert trace() == ["started 1", "finished False", "started 1", "finished True"]
