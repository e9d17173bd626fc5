"""Workers with so many slots on the model of a queue: time goes from event to event."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count, pairwise
from typing import NamedTuple

from jobmonitor.transport.model import Model

#: ms: what is guessed for a task that never ran; the length of a short one
UNIT = 100.0


class Start(NamedTuple):
    """A job that began: when, of which root, how long it runs, what was guessed."""

    at: float
    root: str
    cost: float
    guess: float


class Simulation:
    """Runs what is submitted, in the order in which the model gives it out."""

    def __init__(
        self, slots: int, *, floor: float = 0.05, refresh: float | None = None
    ) -> None:
        self.model = Model(floor)
        self.now = 0.0
        self.starts: list[Start] = []
        #: called when a job of the root has begun, or has ended
        self.on_start: dict[str, Callable[[], None]] = {}
        self.on_end: dict[str, Callable[[], None]] = {}
        #: called after each event
        self.look: Callable[[], None] = lambda: None
        self.running: dict[int, Start] = {}
        self.served: dict[str, float] = {}
        self.most_parked = 0
        self._slots = slots
        self._numbers = count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        if refresh is not None:
            self.every(refresh, self._refresh)

    def submit(self, root: str, cost: float, task: str = "t", **options: float | None) -> None:
        """Publish a job that will run for `cost` ms."""
        number = next(self._numbers)
        self.model.publish(
            self.now, f'{{"task": "{task}", "cost": {cost!r}}}', id=str(number), producer="p",
            number=number, root=root, weight=options.get("weight"), due=options.get("due"),
        )  # fmt: skip

    def backlog(
        self, root: str, cost: Callable[[], float], task: str = "t", **options: float
    ) -> None:
        """Let a root never run out of work: what has begun is replaced."""
        for _ in range(2):
            self.submit(root, cost(), task, **options)
        self.on_start[root] = lambda: self.submit(root, cost(), task, **options)

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (moment, next(self._numbers), action))

    def every(self, pause: float, action: Callable[[], None]) -> None:
        """Do something again and again."""

        def again() -> None:
            action()
            self.at(self.now + pause, again)

        self.at(self.now + pause, again)

    def run(self, starts: int) -> Simulation:
        """Go on until so many jobs have begun in all, or nothing happens any more."""
        self._fill()
        while len(self.starts) < starts and self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()
            self._fill()
            self.look()
        return self

    def service(self, root: str) -> float:
        """How long the jobs of a root have run until now."""
        running = sum(self.now - job.at for job in self.running.values() if job.root == root)
        return self.served.get(root, 0.0) + running

    def share(self, root: str) -> float:
        """Which part of all service a root had."""
        roots = {start.root for start in self.starts}
        return self.service(root) / sum(self.service(each) for each in roots)

    def _fill(self) -> None:
        while len(self.running) < self._slots:
            given, _ = self.model.take(self.now, "c", next(self._numbers))
            self.most_parked = max(self.most_parked, len(self.model.order.roots[False].park.of))
            if given is None:
                return
            cost = float(given.payload.rpartition(" ")[2].rstrip("}"))
            start = Start(self.now, given.root, cost, given.guess)
            self.starts.append(start)
            self.running[given.lease] = start
            self.at(self.now + cost, lambda lease=given.lease: self._end(lease))
            self.on_start.get(given.root, lambda: None)()

    def _end(self, lease: int) -> None:
        job = self.running.pop(lease)
        self.model.ack(self.now, "c", lease, job.cost, root=job.root, low=False)
        self.served[job.root] = self.served.get(job.root, 0.0) + job.cost
        self.on_end.get(job.root, lambda: None)()

    def _refresh(self) -> None:
        running = [(lease, self.now - job.at) for lease, job in self.running.items()]
        self.model.refresh(self.now, "c", running)


def longest_gap(simulation: Simulation, root: str, since: float = 0.0) -> float:
    """The longest time without a start of a root, in units; until the end of the simulation."""
    starts = [start.at for start in simulation.starts if start.root == root]
    moments = [since, *(at for at in starts if at >= since), simulation.now]
    return max(late - early for early, late in pairwise(moments)) / UNIT
