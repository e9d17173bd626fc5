"""A and B: how soon a job starts that is the only one of its root."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from tests.benchmarks.fair.settings import BACKLOG, KINDS, UNIT, Row, say, seconds
from tests.benchmarks.fair.trace import percentile
from tests.benchmarks.fair.world import THREADS, Arena, Job, World, rest_until, until

_BUSY_ROOTS = 100
_PROBES = 250
_EVERY = 0.1
_WARM = 2.0
#: plain Celery runs all of it first: that takes (jobs / 16) x 100 ms
_OF_PLAIN = 1_000
_BOUND = UNIT + 0.05


def behind_children(world: World) -> Iterator[Row]:
    """A: behind the children of one root, submitted in bulk."""
    sizes = {"fair": BACKLOG, "count": _lasting("count")}
    yield from _probed(world, "A  one job behind", 1, sizes)


def beside_busy_roots(world: World) -> Iterator[Row]:
    """B: beside many roots that have enough to do."""
    sizes = {kind: _lasting(kind) for kind in ("fair", "count")}
    yield from _probed(world, "B  one job beside", _BUSY_ROOTS, sizes)


def _lasting(kind: str) -> int:
    """How many jobs last for longer than the samples take."""
    return int((seconds(kind, _PROBES * _EVERY) + 15) * THREADS / UNIT)


def _probed(world: World, name: str, roots: int, sizes: dict[str, int]) -> Iterator[Row]:
    whose = "children of one root" if roots == 1 else f"jobs of {roots} roots"
    p99 = Row(f"{name} {sizes['fair']:,} {whose}: start, p99", f"≤ {1e3 * _BOUND:.0f} ms")
    most = Row("   the latest of all")
    behind = Row("   samples / jobs that waited")
    for kind in KINDS:
        size = sizes.get(kind, _OF_PLAIN)
        with world.arena(kind) as arena:
            found = _latencies(arena, roots, size)
            p99.values[kind] = f"{1e3 * percentile(found, 0.99):,.0f} ms"
            most.values[kind] = f"{1e3 * max(found):,.0f} ms"
            behind.values[kind] = f"{len(found)} / {size:,}"
            if kind == "fair":
                p99.is_held(percentile(found, 0.99) <= _BOUND, arena.p95_ping())
        say(f"{name}, {kind}: p99 {p99.values[kind]}, latest {most.values[kind]}")
    yield from (p99, most, behind)


def _latencies(arena: Arena, roots: int, size: int) -> list[float]:
    arena.fill(_backlog(roots, size))
    began = arena.start_threads()
    rest_until(began + _WARM)
    number = int(seconds(arena.kind, _PROBES * _EVERY) / _EVERY)
    chance = random.Random(1)
    for probe in range(number):
        arena.nap(f"probe-{probe}", UNIT)
        time.sleep(chance.uniform(0.5, 1.5) * _EVERY)
    if arena.kind in ("fair", "count") and arena.left() <= THREADS:
        raise RuntimeError("the backlog did not last: its jobs ended before the samples")
    until(lambda: len(_probes(arena)) == number, says="every sample has run")
    return _probes(arena)


def _backlog(roots: int, size: int) -> Iterator[Job]:
    for number in range(size):
        root = f"busy-{number % roots}"
        yield "nap", (root, time.time(), UNIT), root


def _probes(arena: Arena) -> list[float]:
    return [run.latency for run in arena.runs() if run.root.startswith("probe-")]
