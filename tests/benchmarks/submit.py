"""What it costs to submit: one job, and ten thousand children of a running one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from celery import group

from jobmonitor.current import enter, leave
from jobmonitor.job import Identity, RunningJob
from jobmonitor.records.attempt_writes import AttemptWrites
from jobmonitor.records.store import Delivery
from tests.benchmarks.world import World


@dataclass(frozen=True, slots=True)
class Bulk:
    """Milliseconds a child, by the way in which it was submitted."""

    loop: float
    group: float
    submit_many: float


def one_by_one(world: World, kind: str, jobs: int) -> float:
    """Milliseconds of `delay()`, after some to open the connections."""
    with world.client(kind) as client, world.app(kind) as module:
        for number in range(50):
            module.nothing.delay(number)
        taken = _milliseconds(jobs, lambda: [module.nothing.delay(n) for n in range(jobs)])
        client.flushdb()
    return taken


def children(world: World, jobs: int) -> Bulk:
    """Submit children of a running job in a loop, as a group, and by `submit_many`."""
    with world.client("jobmonitor") as client, world.app("jobmonitor") as module:
        task, monitor = module.nothing, module.monitor
        ways: list[Callable[[], Any]] = [
            lambda: [task.delay(number) for number in range(jobs)],
            lambda: group(task.s(number) for number in range(jobs)).apply_async(),
            lambda: monitor.submit_many(task.s(number) for number in range(jobs)),
        ]
        taken = []
        for way in ways:
            _run_a_job(module)
            try:
                taken.append(_milliseconds(jobs, way))
            finally:
                leave()
            client.flushdb()
    return Bulk(*taken)


def _run_a_job(module: ModuleType) -> None:
    """Let this process be one that runs a job."""
    store = module.monitor.store
    job_id = module.nothing.delay(0).id
    delivery = Delivery(
        id=job_id, dispatch=1, claimed_as=uuid.uuid4().hex[:12], worker="bench",
        pid=os.getpid(), system=False, stoppable=None, restartable=False, rerun=True,
        continues=False, lost_after=30, lost_max=3, lost_reason="",
    )  # fmt: skip
    claimed = store.claim(delivery)
    identity = Identity(job_id, job_id, None, None, 1, claimed.attempt, True)
    writes = AttemptWrites(store, delivery, claimed.attempt)
    enter(RunningJob(identity, writes, interval=1, checkpoint_max=1_000))


def _milliseconds(jobs: int, submit: Callable[[], Any]) -> float:
    began = time.perf_counter()
    submit()
    return 1_000 * (time.perf_counter() - began) / jobs
