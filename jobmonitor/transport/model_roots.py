"""What the model of one queue consists of: messages, leases, and the roots of one class."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

#: Parked roots that one take looks at.
_TRIMMED_AT_ONCE = 10


class Element(NamedTuple):
    """A message that waits or runs; `previous` is the lease it came back from, or 0."""

    published: int
    deliveries: int
    previous: int
    payload: str


@dataclass(slots=True)
class Lease:
    """A message in the hands of a consumer, and what its root was charged for it so far.

    `served` is what it received of that: a guess is charged before.
    """

    low: bool
    root: str
    task: str
    charged: float
    weight: float
    floor: float
    side: str
    element: Element
    served: float = 0.0


class Scores:
    """Members with scores, as a sorted set: the lowest is found without looking at all.

    The heap keeps what was overwritten until it comes up or outweighs the rest.
    """

    def __init__(self) -> None:
        self.of: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, member: str, score: float) -> None:
        """Add a member, or move it."""
        self.of[member] = score
        if len(self._heap) > 64 + 4 * len(self.of):
            self._heap = [(kept, name) for name, kept in self.of.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (score, member))

    def pop(self, member: str) -> float | None:
        """Remove a member; return the score it had."""
        return self.of.pop(member, None)

    def first(self) -> tuple[float, str] | None:
        """Find the lowest score; of equal ones the name that comes first."""
        while self._heap and self.of.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def lowest(self, count: int, most: float) -> list[str]:
        """List up to `count` members with the lowest scores, none above `most`."""
        first = self.first()
        if first is None or first[0] > most:
            return []
        low = ((score, name) for name, score in self.of.items() if score <= most)
        return [name for _, name in heapq.nsmallest(count, low)]

    def clear(self) -> None:
        """Remove all members."""
        self.of.clear()
        self._heap.clear()


@dataclass(slots=True)
class Roots:
    """The roots of one class: where each stands, and what waits of it."""

    v: float = 0.0
    ring: Scores = field(default_factory=Scores)
    fresh: Scores = field(default_factory=Scores)
    park: Scores = field(default_factory=Scores)
    arrived: dict[str, float] = field(default_factory=dict)
    infl: dict[str, int] = field(default_factory=dict)
    #: root -> step -> its messages, as long as there are any; lower steps go first
    lists: dict[str, dict[int, deque[Element]]] = field(default_factory=dict)
    clocks: dict[str, float] = field(default_factory=lambda: {"ring": 0.0, "fresh": 0.0})
    waiting: int = 0

    def put(self, root: str, element: Element, step: int, *, front: bool) -> None:
        """Put a message behind the others of its step, or in front of them."""
        waiting = self.lists.setdefault(root, {}).setdefault(step, deque())
        if front:
            waiting.appendleft(element)
        else:
            waiting.append(element)

    def first(self, root: str) -> Element | None:
        """Find the message of a root that is next."""
        steps = self.lists.get(root)
        return steps[min(steps)][0] if steps else None

    def remove(self, root: str, step: int | None = None, index: int = 0) -> Element:
        """Remove a message; without a step the one that is next."""
        steps = self.lists[root]
        step = min(steps) if step is None else step
        element = steps[step][index]
        del steps[step][index]
        if not steps[step]:
            del steps[step]
        if not steps:
            del self.lists[root]
        return element

    def length(self, root: str) -> int:
        """Count what waits of a root."""
        return sum(len(waiting) for waiting in self.lists.get(root, {}).values())

    def to_fresh(self, root: str, order: int) -> None:
        """Let a root begin at the end of the new ones."""
        self._pull_up("fresh")
        self.fresh.set(root, order)
        self.arrived[root] = self.v

    def to_ring(self, root: str, tag: float) -> None:
        """Let a root go on at its tag."""
        self._pull_up("ring")
        self.ring.set(root, tag)

    def side(self, floor: float) -> str:
        """Say whose turn it is: the new roots', or that of those served before."""
        if not self.fresh.of:
            return "ring"
        if not self.ring.of or floor == 0 or self.clocks["ring"] >= self.clocks["fresh"]:
            return "fresh"
        return "ring"

    def knows(self, root: str) -> bool:
        """Say whether anything of a root waits, runs, or is remembered."""
        return root in self.lists or root in self.park.of or root in self.infl

    def first_passed(self) -> list[str]:
        """List the first parked roots that virtual time has passed."""
        return self.park.lowest(_TRIMMED_AT_ONCE, self.v)

    def add_to_clock(self, side: str, floor: float, service: float) -> None:
        """Count service for the floor of the roots served before."""
        if side == "fresh":
            self.clocks[side] += service / (1 - floor)
        elif floor > 0:
            self.clocks[side] += service / floor

    def charge(self, lease: Lease, elapsed: float) -> None:
        """Move a root's tag from what was charged for a lease to what it took."""
        service = elapsed - lease.charged
        scores = self.ring if lease.root in self.ring.of else self.park
        scores.set(lease.root, scores.of.get(lease.root, 0.0) + service / lease.weight)
        self.add_to_clock(lease.side, lease.floor, service)
        lease.charged = elapsed

    def settle(self) -> None:
        """Forget the past."""
        self.v, self.clocks = 0.0, {"ring": 0.0, "fresh": 0.0}
        self.park.clear()
        self.arrived.clear()

    def _pull_up(self, side: str) -> None:
        """Bank no credit while nobody stood on a side: its clock goes on from the other's."""
        scores, other = (self.ring, "fresh") if side == "ring" else (self.fresh, "ring")
        if not scores.of:
            self.clocks[side] = max(self.clocks[side], self.clocks[other])
