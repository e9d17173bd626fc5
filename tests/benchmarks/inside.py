"""What it costs inside a job, and what a worker takes of memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from jobmonitor.job import Identity, RunningJob
from tests.benchmarks.world import World
from tests.brokers import left_in
from tests.waiting import eventually


class _Nowhere:
    """Where nothing is due, nothing is written."""


def checkpoint_us(steps: int) -> float:
    """Microseconds of a `checkpoint()` with nothing due, the loop around it taken off."""
    identity = Identity("bench", "bench", None, None, 1, 1, True)
    job = RunningJob(identity, _Nowhere(), interval=3_600, checkpoint_max=1_000)  # type: ignore[arg-type]

    def with_checkpoint() -> None:
        checkpoint = job.checkpoint
        for number in range(steps):
            checkpoint({"offset": number})

    def without() -> None:
        for number in range(steps):
            {"offset": number}  # noqa: B018  what a job would save

    return 1e6 * (_seconds(with_checkpoint) - _seconds(without)) / steps


def memory_mb(world: World, kind: str, jobs: int) -> float:
    """Megabytes that a worker of two processes has for itself after some jobs."""
    with world.client(kind) as client:
        client.flushdb()
        with world.worker(kind) as worker:
            with world.app(kind) as module:
                for number in range(jobs):
                    module.nothing.delay(number)
            eventually(lambda: not left_in(client), within=120)
            main = psutil.Process(worker.pid)
            family = [main, *main.children(recursive=True)]
            return float(sum(one.memory_full_info().pss for one in family)) / 2**20


def _seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
