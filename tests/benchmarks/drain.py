"""How fast a worker drains a queue that was filled before it started."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psutil

from tests.benchmarks.world import World
from tests.brokers import left_in

_LONGEST = 600.0


@dataclass(frozen=True, slots=True)
class Drain:
    """Jobs a second, and the milliseconds of processor that one job took, by whose they are."""

    rate: float
    worker_ms: float
    postgres_ms: float


def drain(world: World, kind: str, task: str, jobs: int) -> Drain:
    """Fill the queue, start a worker, and measure from its first ack to its last."""
    with world.client(kind) as client:
        client.flushdb()
        with world.app(kind) as module:
            fill(module, task, jobs)
        with world.worker(kind) as worker:
            _until(lambda: left_in(client) < jobs)
            began, before = time.perf_counter(), _cpu(worker.pid)
            database = _cpu(_postmaster(world))
            _until(lambda: not left_in(client))
            seconds = time.perf_counter() - began
            spent = _cpu(worker.pid) - before
            by_database = _cpu(_postmaster(world)) - database
    return Drain(jobs / seconds, 1_000 * spent / jobs, 1_000 * by_database / jobs)


def fill(module: Any, task: str, jobs: int) -> None:
    """Submit so many jobs; that is not measured."""
    signature = getattr(module, task).s
    if module.monitor is not None:
        module.monitor.submit_many(signature(number) for number in range(jobs))
        return
    for number in range(jobs):
        signature(number).apply_async()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + _LONGEST
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the queue was not drained within {_LONGEST:g} s")
        time.sleep(0.01)


def _postmaster(world: World) -> int:
    return world.postgres.pid


def _cpu(pid: int) -> float:
    main = psutil.Process(pid)
    return sum(sum(p.cpu_times()[:2]) for p in [main, *main.children(recursive=True)])
