"""C to F: who gets how much of the execution time while all have work waiting."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.benchmarks.fair.settings import KINDS, UNIT, Row, say, seconds
from tests.benchmarks.fair.trace import Run, jain, longest_gap, service
from tests.benchmarks.fair.world import THREADS, Arena, Job, World, rest_until

_WARM = 3.0
_BUSY = "   share of the slots that ran a job"


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs of one root: how many, how long each, by the name of which task."""

    jobs: int
    cost: float
    task: str = "nap"

    def all_of(self, root: str) -> Iterator[Job]:
        """Its jobs, to be submitted."""
        for _ in range(self.jobs):
            yield self.task, (root, time.time(), self.cost), root


@dataclass(frozen=True, slots=True)
class Window:
    """What ran, and the part of it in which every root had work waiting."""

    runs: list[Run]
    first: float
    since: float
    until: float
    ping: float

    @property
    def service(self) -> dict[str, float]:
        """Seconds of execution in it, by root."""
        return service(self.runs, self.since, self.until)

    @property
    def busy(self) -> str:
        """The share of the slots that ran a job."""
        return f"{sum(self.service.values()) / (self.until - self.since) / THREADS:.2f}"

    def starts_of(self, root: str) -> list[float]:
        """When jobs of a root began."""
        return [run.began for run in self.runs if run.root == root]


def ten_to_one(world: World) -> Iterator[Row]:
    """C: equal backlogs of jobs that take 1 s and 100 ms."""
    row, busy = Row("C  costs 10 : 1: share of the short root", "0.47 to 0.53"), Row(_BUSY)
    for kind in KINDS:
        lasts = seconds(kind, 40)
        backlogs = _two(lasts, 10 * UNIT, "nap")
        with world.arena(kind) as arena:
            window = _observe(arena, backlogs, lasts)
        share = _share(window, "short")
        row.values[kind], busy.values[kind] = f"{share:.3f}", window.busy
        if kind == "fair":
            row.is_held(0.47 <= share <= 0.53, window.ping)
        say(f"C, {kind}: {share:.3f} over {lasts:.0f} s")
    yield from (row, busy)


def hundred_to_one(world: World) -> Iterator[Row]:
    """D: jobs that take 10 s, by a name of their own, beside jobs of 100 ms."""
    long = 100 * UNIT
    warm = long + _WARM
    gap = Row("D  costs 100 : 1: longest gap of the short root", "≤ 3 of its jobs")
    cold = Row("   the same from the first start on, nothing learned")
    for kind in KINDS:
        lasts = seconds(kind, 40)
        with world.arena(kind) as arena:
            window = _observe(arena, _two(lasts + warm, long, "long_nap"), lasts, warm=warm)
        starts = window.starts_of("short")
        longest = longest_gap(starts, window.since, window.until) / UNIT
        at_first = longest_gap(starts, window.first, window.since) / UNIT
        gap.values[kind], cold.values[kind] = f"{longest:.1f}", f"{at_first:.1f}"
        if kind == "fair":
            gap.is_held(longest <= 3, window.ping)
        say(f"D, {kind}: {longest:.1f} short jobs, cold {at_first:.1f}, over {lasts:.0f} s")
    yield from (gap, cold)


def lognormal(world: World) -> Iterator[Row]:
    """E: fifty roots, each with a cost of its own."""
    costs = _lognormal_costs(50)
    index = Row("E  50 roots, lognormal costs: Jain", "≥ 0.99")
    least = Row("   least share / fair share", "≥ 0.95")
    most, busy = Row("   greatest share / fair share"), Row(_BUSY)
    length = Row(f"   window, s (bounds of theory: {_window_of_theory(costs):.0f})")
    for kind in KINDS:
        lasts = seconds(kind, 120)
        with world.arena(kind) as arena:
            window = _observe(arena, _fifty(costs, lasts), lasts)
        shares = [window.service.get(root, 0.0) for root in costs]
        fair = sum(shares) / len(shares)
        index.values[kind] = f"{jain(shares):.4f}"
        least.values[kind], most.values[kind] = (
            f"{min(shares) / fair:.3f}", f"{max(shares) / fair:.3f}"
        )  # fmt: skip
        length.values[kind], busy.values[kind] = f"{lasts:.0f}", window.busy
        if kind == "fair":
            index.is_held(jain(shares) >= 0.99, window.ping)
            least.is_held(min(shares) / fair >= 0.95, window.ping)
        say(f"E, {kind}: Jain {index.values[kind]}, least {least.values[kind]}")
    yield from (index, least, most, length, busy)


def flood(world: World) -> Iterator[Row]:
    """F: new roots of one job each at 1.1 times the capacity, beside one big backlog."""
    row = Row("F  flood of new roots at 1.1: share of the big root", "≥ 0.045")
    busy = Row(_BUSY)
    for kind in KINDS:
        lasts = seconds(kind, 40)
        jobs = int((lasts + 3 * _WARM) * THREADS / UNIT)
        with world.arena(kind) as arena:
            window = _observe(arena, {"big": Backlog(jobs, UNIT)}, lasts, flooded=True)
        found = window.service
        share = found.get("big", 0.0) / sum(found.values())
        row.values[kind], busy.values[kind] = f"{share:.3f}", window.busy
        if kind == "fair":
            row.is_held(share >= 0.045, window.ping)
        say(f"F, {kind}: {share:.3f} over {lasts:.0f} s")
    yield from (row, busy)


# -- how it is run -----------------------------------------------------------------------------


def _observe(
    arena: Arena, backlogs: Mapping[str, Backlog], lasts: float, *, warm: float = _WARM,
    flooded: bool = False,
) -> Window:  # fmt: skip
    """Submit, root after root, run, and look at a window in which no root runs out of work."""
    for root, backlog in backlogs.items():
        arena.fill(backlog.all_of(root))
    first = arena.start_threads()
    since, until = first + warm, first + warm + lasts
    ends = until + max(backlog.cost for backlog in backlogs.values()) + 0.5
    if flooded:
        _flood_until(arena, ends)
    rest_until(ends)  # what ran in the window has ended and is in the trace
    window = Window(arena.runs(), first, since, until, arena.p95_ping())
    in_turns = arena.kind in ("fair", "count")  # plain Celery runs root after root
    for root, backlog in backlogs.items() if in_turns else ():
        if sum(start < until for start in window.starts_of(root)) >= backlog.jobs:
            raise RuntimeError(f"the backlog of {root} did not last")
    return window


def _flood_until(arena: Arena, ends: float) -> None:
    every = UNIT / THREADS / 1.1
    began, number = time.time(), 0
    while (now := time.time()) < ends:
        while began + number * every < now:
            arena.nap(f"fresh-{number}", UNIT)
            number += 1
        time.sleep(every)


def _two(lasts: float, long: float, task: str) -> dict[str, Backlog]:
    """Two roots with more than they could run in that time, the long one first."""
    slots = (lasts + 2 * _WARM) * THREADS
    return {
        "long": Backlog(int(slots / long) + THREADS, long, task),
        "short": Backlog(int(slots / UNIT), UNIT),
    }


def _share(window: Window, root: str) -> float:
    found = window.service
    return found.get(root, 0.0) / sum(found.values())


def _lognormal_costs(roots: int) -> dict[str, float]:
    """Costs drawn with sigma 1, the unit as their mean, none below 10 ms."""
    chance = random.Random(50)
    drawn = [chance.lognormvariate(math.log(UNIT) - 0.5, 1.0) for _ in range(roots)]
    scale = UNIT * roots / sum(drawn)
    return {f"root-{n}": max(cost * scale, 0.01) for n, cost in enumerate(drawn)}


def _fifty(costs: Mapping[str, float], lasts: float) -> dict[str, Backlog]:
    lasts += 3 * _WARM
    fair = lasts * THREADS / len(costs)
    in_turns = lasts * THREADS / sum(costs.values())
    return {
        root: Backlog(int(1.1 * max(fair / cost, in_turns)) + THREADS, cost)
        for root, cost in costs.items()
    }


def _window_of_theory(costs: Mapping[str, float]) -> float:
    """The window that fairness.md 2.7 asks for, 20 x (k + 1) x the longest x roots / k."""
    return 20 * (THREADS + 1) * max(costs.values()) * len(costs) / THREADS
