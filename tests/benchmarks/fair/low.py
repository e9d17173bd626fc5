"""I: what a backlog of low work costs normal traffic, and what it gets of the idle slots."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from tests.benchmarks.fair.settings import SCALE, UNIT, Row, say
from tests.benchmarks.fair.trace import Run, percentile, service
from tests.benchmarks.fair.world import THREADS, Arena, World, rest_until, until

NONE, GATE, STRICT = "no low work", "our gate", "strict only"
#: the options of each column; the gate's own are the defaults
POLICIES: dict[str, dict[str, Any]] = {
    NONE: {}, GATE: {}, STRICT: {"low_reserve": 0, "low_calm": 0},
}  # fmt: skip
_LOADS = (0.5, 0.8)
#: the default calm of the gate, and a little
_WARM = 6.0
_LASTS = max(25.0 * SCALE, 4.0)
_LOW = "low"


def beside_normal(world: World) -> Iterator[Row]:
    """Poisson traffic of one-job roots at two loads, beside nothing and beside low work."""
    for load in _LOADS:
        mean, p99, used, busy = _rows(load)
        for policy in POLICIES:
            with world.arena("fair", POLICIES[policy]) as arena:
                runs, since, ends = _observe(arena, load, with_low=policy != NONE)
                ping = arena.p95_ping()
            waits = [run.latency / UNIT for run in _normal(runs) if since < run.published]
            mean.values[policy] = f"{fmean(waits):.2f}"
            p99.values[policy] = f"{percentile(waits, 0.99):.2f}"
            low, normal = _shares(runs, since, ends)
            used.values[policy] = f"{low / (1 - normal):.0%}"
            busy.values[policy] = f"{normal:.2f}"
            if policy == GATE:
                before = float(p99.values[NONE])
                p99.is_held(percentile(waits, 0.99) <= before + 1, ping)
            say(f"I, {load:.0%}, {policy}: mean {mean.values[policy]}, p99 {p99.values[policy]}"
                f", idle used {used.values[policy]}, PING {ping:.2f} ms")  # fmt: skip
        yield from (mean, p99, used, busy)


def _rows(load: float) -> tuple[Row, Row, Row, Row]:
    columns = tuple(POLICIES)
    name = f"I  normal traffic at {load:.0%} of the slots: wait, mean, in jobs"
    return (
        Row(name, columns=columns),
        Row("   the same, p99", "≤ without low + 1", columns=columns),
        Row("   share of the idle slots that low work got", columns=columns),
        Row("   share of the slots that ran normal work", columns=columns),
    )


def _observe(arena: Arena, load: float, *, with_low: bool) -> tuple[list[Run], float, float]:
    """Run the traffic for the time of a window; what ran, and the window."""
    if with_low:
        _fill(arena, int((_WARM + _LASTS) * THREADS / UNIT * (1 - load)) + 50 * THREADS)
    arena.nap("first", UNIT)
    since = arena.start_threads() + _WARM
    ends = since + _LASTS
    sent = _send(arena, load * THREADS / UNIT, ends)
    if with_low and not arena.left():
        raise RuntimeError("the backlog of low work did not last")
    until(lambda: len(_normal(arena.runs())) > sent, says="all normal work has run")
    return arena.runs(), since, ends


def _fill(arena: Arena, jobs: int) -> None:
    with (
        arena.app.producer_pool.acquire(block=True) as producer,
        producer.batch(max_size=1_000),
    ):
        for _ in range(jobs):
            arguments = (_LOW, time.time(), UNIT)
            arena.submit("nap", arguments, _LOW, priority=9, producer=producer)


def _send(arena: Arena, a_second: float, ends: float) -> int:
    """Send one-job roots as they come, what is late at once, so the load is kept; how many."""
    chance, due, number = random.Random(7), time.time(), 0
    while due < ends:
        rest_until(due)
        arena.nap(f"normal-{number}", UNIT)
        due, number = due + chance.expovariate(a_second), number + 1
    return number


def _normal(runs: list[Run]) -> list[Run]:
    return [run for run in runs if run.root != _LOW]


def _shares(runs: list[Run], since: float, ends: float) -> tuple[float, float]:
    """The shares of the slots in a window that ran low and normal work."""
    found = service(runs, since, ends)
    whole = THREADS * (ends - since)
    low = found.pop(_LOW, 0.0)
    return low / whole, sum(found.values()) / whole
