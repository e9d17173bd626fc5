"""Two roots that both have work, and were both served, never drift apart without bound.

The bound over every interval, with k slots and C the longest job or guess of a root:
|W_f / w_f - W_g / w_g| <= (k + 1) (C_f / w_f + C_g / w_g); start-time fair queueing with the
durations known at the end (after Jin, Chase, Kaur 2004), for pairs that are in the ring. What
the floor gives to one while the other is still new comes on top; here there is no floor before
all have begun.
"""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.simulation import UNIT, Simulation

_STARTS = 80
_FLOOR = 0.05


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    roots = draw(st.integers(2, 5))
    return {
        "slots": draw(st.integers(1, 16)),
        "weights": [draw(st.sampled_from([1, 2, 4])) for _ in range(roots)],
        "longest": [draw(st.sampled_from([1, 3, 20, 200])) for _ in range(roots)],
        "is_steady": draw(st.booleans()),
        "one_task_name": draw(st.booleans()),
        "refresh": draw(st.sampled_from([None, 0.5, 5])),
        "fresh_every": draw(st.sampled_from([None, None, 0.3, 2])),
        "returning": draw(st.booleans()),
        "seed": draw(st.integers(0, 10**6)),
    }


def begin(schedule: dict[str, Any]) -> Simulation:
    """Roots with endless work, and beside them new roots and one that comes and goes."""
    chance = random.Random(schedule["seed"])
    refresh = schedule["refresh"]
    queue = Simulation(schedule["slots"], floor=0.0, refresh=refresh and refresh * UNIT)
    for number, (weight, longest) in enumerate(
        zip(schedule["weights"], schedule["longest"], strict=True)
    ):
        steady = schedule["is_steady"]

        def cost(longest: float = longest, steady: bool = steady) -> float:
            return longest * UNIT if steady else chance.uniform(0.005, 1) * longest * UNIT

        task = "t" if schedule["one_task_name"] else f"t{number}"
        queue.backlog(f"busy {number}", cost, task, weight=float(weight))
    if schedule["fresh_every"]:
        pause = schedule["fresh_every"] * UNIT / schedule["slots"]
        queue.every(pause, lambda: queue.submit(f"new {queue.now}", UNIT))
    if schedule["returning"]:
        queue.submit("returning", UNIT)
        queue.on_end["returning"] = lambda: queue.submit("returning", UNIT)
    return queue


class Lags:
    """The widest drift of each pair since both stand in the ring."""

    def __init__(self, queue: Simulation, weights: dict[str, float]) -> None:
        self._queue = queue
        self._weights = weights
        self._longest = dict.fromkeys(weights, 0.0)
        self._seen = 0
        self._low: dict[tuple[str, str], float] = {}
        self._high: dict[tuple[str, str], float] = {}

    def look(self) -> None:
        """Note how far the pairs have drifted."""
        queue = self._queue
        for start in queue.starts[self._seen :]:
            if start.root in self._longest:
                longest = max(self._longest[start.root], start.cost, start.guess)
                self._longest[start.root] = longest
        self._seen = len(queue.starts)
        if all(self._longest.values()):
            queue.model.floor = _FLOOR
        service = dict(queue.served)
        for job in queue.running.values():
            service[job.root] = service.get(job.root, 0.0) + queue.now - job.at
        ring = queue.model.order.roots[False].ring.of
        lines = [(root, service[root] / w) for root, w in self._weights.items() if root in ring]
        for (one, served), (other, others) in combinations(lines, 2):
            pair, lag = (one, other), served - others
            self._low[pair] = min(self._low.get(pair, lag), lag)
            self._high[pair] = max(self._high.get(pair, lag), lag)

    def worst(self, slots: int) -> float:
        """The widest drift of a pair over every interval, as a part of the bound."""
        most = 0.0
        for pair, high in self._high.items():
            longest = sum(self._longest[root] / self._weights[root] for root in pair)
            most = max(most, (high - self._low[pair]) / ((slots + 1) * longest))
        return most


@settings(
    max_examples=1_000, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(schedule=schedules())
def test_two_busy_roots_stay_within_the_bound_over_every_interval(
    schedule: dict[str, Any],
) -> None:
    queue = begin(schedule)
    weights = {f"busy {n}": float(w) for n, w in enumerate(schedule["weights"])}
    lags = Lags(queue, weights)
    queue.look = lags.look
    queue.run(_STARTS + 8 * schedule["slots"])
    assert lags.worst(schedule["slots"]) <= 1
