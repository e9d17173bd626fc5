"""The fair order of one queue in pure Python: what the Lua verbs are held equal to.

Runs in: tests, simulations and forecasts; it needs no server. Start-time fair queueing (Goyal,
Vin, Cheng 1996, section 3) over roots, charged in execution time, with a queue of new roots
before the ring and a floor for the ring. Every sum is made in the order in which the scripts
make it, so tags are equal to the last bit. Times are milliseconds; the caller says what time it
is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.model_leases import Consumers
from jobmonitor.transport.model_order import MOVED_AT_ONCE, Order
from jobmonitor.transport.model_roots import Element, Lease, Roots, Scores
from jobmonitor.transport.model_served import Served

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


class _Later(NamedTuple):
    low: bool
    weight: float | None
    step: int
    deliveries: int
    root: str
    payload: str


class Model:
    """The messages of one queue, in the fair order of their roots."""

    def __init__(self, floor: float = 0.05, gate: LowGate | None = None) -> None:
        """`floor` is the share of the roots served before, 0 to below 1."""
        self.floor = floor
        self.gate = gate or LowGate()
        self.normal_waited: float | None = None
        self.paused_at: float | None = None
        self.order = Order()
        self.consumers = Consumers()
        self.served = Served()
        self.producers: dict[str, int] = {}
        self._lease_seq = 0
        self._due = Scores()
        self._due_messages: dict[str, _Later] = {}

    def publish(
        self, now: float, payload: str, *, id: str, producer: str, number: int, root: str,
        again: bool = False, low: bool = False, step: int = 0, weight: float | None = None,
        due: float | None = None,
    ) -> bool:  # fmt: skip
        """Put a message behind the others of its root, or among those that are due later."""
        if again and self.producers.get(producer, 0) >= number:
            return False
        self.producers[producer] = number
        if due is not None and due > now:
            self._due.set(id, due)
            self._due_messages[id] = _Later(low, weight, step, 0, root, payload)
        else:
            self.order.enqueue(low, root, Element(math.floor(now), 0, 0, payload), step)
            self.order.set_weight(root, weight)
        return True

    def take(
        self, now: float, consumer: str | None, request: int
    ) -> tuple[Given | None, float]:
        """Take the next message, and say in how many ms another look is worth it (-1: none).

        Without a consumer it is taken for good. The same request again returns the same lease.
        """
        if consumer and (number := self.consumers.repeated(consumer, request)):
            self.consumers.missed.pop(consumer, None)  # by beats before this answer
            return _given(number, self.consumers.leases[consumer][number]), -1.0
        self._release_due(now)
        if self.paused_at is not None:
            return None, -1.0
        self.order.trim()
        if self.gate.longest is not None:
            self.order.promote(now - self.gate.longest)
        lease, calm_in = self._dispatch(now, leased=bool(consumer))
        number = 0
        if lease and consumer:
            self._lease_seq = number = (self._lease_seq or math.floor(now * 1000)) + 1
            self.consumers.give(now, consumer, request, number, lease)
        self.order.settle_idle()
        if lease:
            return _given(number, lease), -1.0
        first = self._due.first()
        due_in = max(first[0] - now, 0.0) if first else -1.0
        is_only = calm_in < 0 or due_in < 0
        return None, max(calm_in, due_in) if is_only else min(calm_in, due_in)

    def _dispatch(self, now: float, *, leased: bool) -> tuple[Lease | None, float]:
        """Take a normal message, or where the gate is open a low one; else when it may open."""
        lease = self.order.dispatch(False, self.floor, leased=leased)
        if lease is not None:
            if now - lease.element.published > self.gate.patience:
                self.normal_waited = now
            return lease, -1.0
        if not self.order.since.of:
            return None, -1.0
        slots = self.capacity()
        reserve = self.gate.reserve
        if reserve is None:
            reserve = 0 if slots == 1 else math.ceil(slots / 8)
        waited = -self.gate.calm if self.normal_waited is None else self.normal_waited
        calm_in = self.gate.calm - (now - waited)
        if (slots and slots - self.order.inflight <= reserve) or calm_in > 0:
            return None, max(calm_in, -1.0)
        return self.order.dispatch(True, self.floor, leased=leased), -1.0

    def refresh(self, now: float, consumer: str, running: Iterable[tuple[int, float]]) -> None:
        """Charge what has run for longer than was guessed: leases and how long they ran."""
        for number, elapsed in running:
            lease = self.consumers.lease(consumer, number)
            if lease and elapsed > lease.charged:
                self._charge(now, lease, elapsed)

    def ack(
        self, now: float, consumer: str, number: int, elapsed: float, *, root: str, low: bool
    ) -> bool:
        """End a lease and charge its root; False: it was not out any more."""
        elapsed = max(elapsed, LEAST)
        lease = self.consumers.lease(consumer, number)
        if lease:
            self._charge(now, lease, elapsed)
            self.order.learn(lease.task, elapsed)
            self._end(consumer, number)
            self.order.forget_passed(lease.low, lease.root)
        else:
            self._withdraw_copy(low, root, number)
        self.order.settle_idle()
        return lease is not None

    def requeue(self, now: float, consumer: str, number: int, elapsed: float) -> bool:
        """Give a message back to the front of its root; False: it was not out any more."""
        lease = self.consumers.lease(consumer, number)
        if lease is None:
            return False
        self._charge(now, lease, max(elapsed, LEAST))
        self._put_back(consumer, number)
        return True

    def defer(self, now: float, consumer: str, number: int, delay: float) -> bool:
        """Give a message back until later; False: it was not out any more."""
        lease = self.consumers.lease(consumer, number)
        if lease is None:
            return False
        self._charge(now, lease, LEAST)
        self._due.set(f"lease:{number}", now + delay)
        deliveries, payload = lease.element.deliveries, lease.element.payload
        self._due_messages[f"lease:{number}"] = _Later(
            lease.low, None, 0, deliveries, lease.root, payload
        )
        self._end(consumer, number)
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

    def move(self, root: str, *, low: bool, at_once: int = MOVED_AT_ONCE) -> int:
        """Let what waits of a root wait in the other class; how much is left where it was."""
        return self.order.move(root, low, at_once)

    def hold(self, now: float, root: str) -> int:
        """Let nothing of a root be taken until `release`; how much waits of it."""
        count = self.order.length(root)
        if not count or root in self.order.held:
            return count
        for low, roots in self.order.roots.items():
            if root in roots.lists:
                roots.waiting -= roots.length(root)
                self.order.withdraw(low, root)
        self.order.held[root] = now
        return count

    def release(self, root: str) -> int:
        """Let what was held be taken again; how much that was."""
        if self.order.held.pop(root, None) is None:
            return 0
        for low, roots in self.order.roots.items():
            if root in roots.lists:
                roots.waiting += roots.length(root)
                self.order.enter(low, root)
                if low:
                    self.order.note_since(root)
        return self.order.length(root)

    def drop(self, root: str) -> int:
        """Remove what waits of a root, held or not; how much that was."""
        waits = [low for low, roots in self.order.roots.items() if root in roots.lists]
        count = sum(self.order.empty(low, root) for low in waits)
        self.order.held.pop(root, None)
        if not self.order.roots[False].knows(root):
            self.order.forget(False, root)
        self.order.settle_idle()
        return count

    def mark(self, root: str, marks: Mapping[str, str | int]) -> bool:
        """Say what is to become of messages when they are next; False: nothing waits."""
        if not self.order.length(root):
            return False
        known = self.order.marks.setdefault(root, {})
        for job, mark in marks.items():
            if mark != "normal":
                known[job] = str(mark)
            elif known.get(job) == "low":
                del known[job]
        if not known:
            del self.order.marks[root]
        return True

    def pause(self, now: float, *, on: bool) -> bool:
        """Let nothing be taken, or let it be taken again; False: so it was before."""
        if on is (self.paused_at is not None):
            return False
        self.paused_at = now if on else None
        return True

    def purge(self) -> int:
        """Remove what waits, held or not, and what is due later; how much that was."""
        removed = self.size()
        self._due.clear()
        self._due_messages.clear()
        for low, roots in self.order.roots.items():
            for side in (roots.ring, roots.fresh):
                for _, root in sorted((score, name) for name, score in side.of.items()):
                    self.order.empty(low, root)
        for root in sorted(self.order.held, key=lambda name: (self.order.held[name], name)):
            for low in self.order.roots:
                self.order.empty(low, root)
            del self.order.held[root]
        self.order.settle_idle()
        return removed

    def size(self) -> int:
        """Count what waits, held or not, and what is due later, without what is leased."""
        held = sum(self.order.length(root) for root in self.order.held)
        waiting = sum(roots.waiting for roots in self.order.roots.values())
        return waiting + held + len(self._due.of)

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
            "held": dict(order.held),
            "held_messages": sum(order.length(root) for root in order.held),
            "marks": {root: dict(marks) for root, marks in order.marks.items()},
            "since": dict(order.since.of),
            "normal_waited": self.normal_waited,
            "paused": self.paused_at is not None,
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
            "served": {minute: dict(fields) for minute, fields in self.served.of.items()},
            "last_pass": consumers.last_pass,
            "grace": consumers.grace,
        }

    def _release_due(self, now: float) -> None:
        for id in self._due.lowest(_DUE_AT_ONCE, now):
            self._due.pop(id)
            later = self._due_messages.pop(id)
            element = Element(math.floor(now), later.deliveries, 0, later.payload)
            self.order.enqueue(later.low, later.root, element, later.step)
            self.order.set_weight(later.root, later.weight)

    def _charge(self, now: float, lease: Lease, elapsed: float) -> None:
        self.served.count(now, lease, elapsed - lease.served)
        lease.served = elapsed
        self.order.roots[lease.low].charge(lease, elapsed)

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
        waiting = roots.lists.get(root, {}).get(0, ())
        for index, element in enumerate(islice(waiting, _COPIES_SEARCHED)):
            if element.previous == number:
                roots.remove(root, 0, index)
                roots.waiting -= root not in self.order.held
                if not self.order.length(root):
                    self.order.held.pop(root, None)
                if root not in roots.lists:
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
        "lists": {
            root: {step: [tuple(e) for e in waiting] for step, waiting in steps.items()}
            for root, steps in roots.lists.items()
        },
        "ring_clock": roots.clocks["ring"],
        "fresh_clock": roots.clocks["fresh"],
        "waiting": roots.waiting,
    }


def _lease_snapshot(lease: Lease) -> dict[str, Any]:
    facts = {name: getattr(lease, name) for name in lease.__slots__}
    return facts | {"element": tuple(lease.element)}
