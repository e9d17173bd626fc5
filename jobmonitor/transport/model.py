"""The fair order of one queue in pure Python: what the Lua scripts are held equal to.

Runs in: tests, simulations and forecasts; it needs no server. Start-time fair queueing (Goyal,
Vin, Cheng 1996, section 3) over roots, charged in execution time, with a queue of new roots
before the ring and a floor for the ring. Every sum is made in the order in which the scripts
make it, so tags are equal to the last bit. Times are milliseconds; the caller says what time it
is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from jobmonitor.transport.model_leases import Consumers
from jobmonitor.transport.model_order import Order
from jobmonitor.transport.model_roots import Element, Lease, Roots, Scores

LEAST = 1.0
_DUE_AT_ONCE = 100
_COPIES_SEARCHED = 10


class Given(NamedTuple):
    """A message on its way to a consumer, as `fair_queue.Taken`."""

    lease: int
    root: str
    low: bool
    task: str
    deliveries: int
    payload: str
    guess: float


class Model:
    """The messages of one queue, in the fair order of their roots."""

    def __init__(self, floor: float = 0.05) -> None:
        """`floor` is the share of the roots served before, 0 to below 1."""
        self.floor = floor
        self.order = Order()
        self.consumers = Consumers()
        self.producers: dict[str, int] = {}
        self._lease_seq = 0
        self._due = Scores()
        self._due_messages: dict[str, tuple[bool, float | None, str, str]] = {}

    def publish(
        self, now: float, payload: str, *, id: str, producer: str, number: int, root: str,
        again: bool = False, low: bool = False, weight: float | None = None,
        due: float | None = None,
    ) -> bool:  # fmt: skip
        """Put a message behind the others of its root, or among those that are due later."""
        if again and self.producers.get(producer, 0) >= number:
            return False
        self.producers[producer] = number
        if due is not None and due > now:
            self._due.set(id, due)
            self._due_messages[id] = (low, weight, root, payload)
        else:
            self.order.enqueue(low, root, Element(math.floor(now), 0, 0, payload))
            self.order.set_weight(root, weight)
        return True

    def take(
        self, now: float, consumer: str | None, request: int
    ) -> tuple[Given | None, float]:
        """Take the next message, and say in how many ms the next will be due (-1: none).

        Without a consumer it is taken for good. The same request again returns the same lease.
        """
        if consumer and (number := self.consumers.repeated(consumer, request)):
            self.consumers.missed.pop(consumer, None)  # by beats before this answer
            return _given(number, self.consumers.leases[consumer][number]), -1.0
        self._release_due(now)
        self.order.trim()
        leased = bool(consumer)
        lease = self.order.dispatch(False, self.floor, leased=leased) or self.order.dispatch(
            True, self.floor, leased=leased
        )
        number = 0
        if lease and consumer:
            self._lease_seq = number = self._lease_seq + 1
            self.consumers.give(now, consumer, request, number, lease)
        self.order.settle_idle()
        if lease:
            return _given(number, lease), -1.0
        first = self._due.first()
        return None, max(first[0] - now, 0.0) if first else -1.0

    def refresh(self, consumer: str, running: Iterable[tuple[int, float]]) -> None:
        """Charge what has run for longer than was guessed: leases and how long they ran."""
        for number, elapsed in running:
            lease = self.consumers.lease(consumer, number)
            if lease and elapsed > lease.charged:
                self.order.roots[lease.low].charge(lease, elapsed)

    def ack(self, consumer: str, number: int, elapsed: float, *, root: str, low: bool) -> bool:
        """End a lease and charge its root; False: it was not out any more."""
        elapsed = max(elapsed, LEAST)
        lease = self.consumers.lease(consumer, number)
        if lease:
            self.order.roots[lease.low].charge(lease, elapsed)
            self.order.learn(lease.task, elapsed)
            self._end(consumer, number)
            self.order.forget_passed(lease.low, lease.root)
        else:
            self._withdraw_copy(low, root, number)
        self.order.settle_idle()
        return lease is not None

    def requeue(self, consumer: str, number: int, elapsed: float) -> bool:
        """Give a message back to the front of its root; False: it was not out any more."""
        lease = self.consumers.lease(consumer, number)
        if lease is None:
            return False
        self.order.roots[lease.low].charge(lease, max(elapsed, LEAST))
        self._put_back(consumer, number)
        return True

    def beat(
        self, now: float, consumer: str, held: Iterable[int], *, slots: int = 1
    ) -> list[int]:
        """Say that a consumer lives, how much it runs at once, and what it holds.

        Returns which of that it holds no more.
        """
        self.consumers.has_slots(consumer, slots)
        return self.consumers.beat(now, consumer, held, self._put_back)

    def leave(self, consumer: str) -> int:
        """End a consumer: what it holds goes back at once; how much that was."""
        return self.consumers.leave(consumer, self._put_back)

    def capacity(self) -> int:
        """Sum how many messages the consumers that live run at once."""
        return sum(self.consumers.slots.values())

    def purge(self) -> int:
        """Remove what waits and what is due later; how much that was."""
        removed = self.size()
        self._due.clear()
        self._due_messages.clear()
        for low, roots in self.order.roots.items():
            for side in (roots.ring, roots.fresh):
                for _, root in sorted((score, name) for name, score in side.of.items()):
                    roots.waiting -= len(roots.lists.pop(root, ()))
                    self.order.withdraw(low, root)
        self.order.settle_idle()
        return removed

    def size(self) -> int:
        """Count what waits and what is due later, without what is leased."""
        return sum(roots.waiting for roots in self.order.roots.values()) + len(self._due.of)

    def snapshot(self) -> dict[str, Any]:
        """Copy the whole state, in plain dicts."""
        order, consumers = self.order, self.consumers
        return {
            "normal": _roots_snapshot(order.roots[False]),
            "low": _roots_snapshot(order.roots[True]),
            "order": order.count,
            "inflight": order.inflight,
            "lease_seq": self._lease_seq,
            "est": dict(order.est),
            "weights": dict(order.weights),
            "due": {id: (at, *self._due_messages[id]) for id, at in self._due.of.items()},
            "producers": dict(self.producers),
            "leases": {
                consumer: {number: _lease_snapshot(lease) for number, lease in held.items()}
                for consumer, held in consumers.leases.items()
                if held
            },
            "requests": dict(consumers.requests),
            "missed": {name: set(ids) for name, ids in consumers.missed.items() if ids},
            "beats": dict(consumers.beats),
            "slots": dict(consumers.slots),
            "capacity": self.capacity(),
            "suspects": dict(consumers.suspects),
            "last_pass": consumers.last_pass,
            "grace": consumers.grace,
        }

    def _release_due(self, now: float) -> None:
        for id in self._due.lowest(_DUE_AT_ONCE, now):
            self._due.pop(id)
            low, weight, root, payload = self._due_messages.pop(id)
            self.order.enqueue(low, root, Element(math.floor(now), 0, 0, payload))
            self.order.set_weight(root, weight)

    def _end(self, consumer: str, number: int) -> Lease:
        lease = self.consumers.leases[consumer].pop(number)
        self.order.end(lease)
        return lease

    def _put_back(self, consumer: str, number: int) -> None:
        lease = self._end(consumer, number)
        old = lease.element
        element = Element(old.published, old.deliveries + 1, number, old.payload)
        self.order.enqueue(lease.low, lease.root, element, front=True)

    def _withdraw_copy(self, low: bool, root: str, number: int) -> None:
        """Remove the copy of what was given back while it ran: what is acknowledged has run."""
        roots = self.order.roots[low]
        waiting = roots.lists.get(root, ())
        for index in range(min(len(waiting), _COPIES_SEARCHED)):
            if roots.lists[root][index].previous == number:
                del roots.lists[root][index]
                roots.waiting -= 1
                if not roots.lists[root]:
                    self.order.withdraw(low, root)
                return


def _given(number: int, lease: Lease) -> Given:
    element = lease.element
    return Given(
        number, lease.root, lease.low, lease.task, element.deliveries, element.payload,
        lease.charged,
    )  # fmt: skip


def _roots_snapshot(roots: Roots) -> dict[str, Any]:
    return {
        "v": roots.v,
        "ring": dict(roots.ring.of),
        "fresh": dict(roots.fresh.of),
        "arrived": dict(roots.arrived),
        "park": dict(roots.park.of),
        "infl": dict(roots.infl),
        "lists": {root: [tuple(e) for e in waiting] for root, waiting in roots.lists.items()},
        "ring_clock": roots.clocks["ring"],
        "fresh_clock": roots.clocks["fresh"],
        "waiting": roots.waiting,
    }


def _lease_snapshot(lease: Lease) -> dict[str, Any]:
    facts = {name: getattr(lease, name) for name in lease.__slots__}
    return facts | {"element": tuple(lease.element)}
