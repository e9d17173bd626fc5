"""One queue in fair order on a Redis server: a typed method for each verb.

Runs in: producers and consumers; it knows neither kombu nor Celery. Times are milliseconds.
Every verb is one function of the server: it happens as a whole or not at all.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis

from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.keys import base_of, served_of
from jobmonitor.transport.scripts import script

#: ms for which a repeated publish is recognized
REMEMBERED = 600_000
#: ms without a beat after which a consumer is suspected, and between two looks for such
LOST_AFTER = 30_000.0
PASS_EVERY = 5_000.0
_ROOTS_AT_ONCE = 1_000
#: how many messages one call moves where it has to touch each
MOVED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Taken:
    """A message on its way to a consumer; `lease` is 0 where it was taken for good.

    `guess` is what its root was charged for it so far, in ms.
    """

    lease: int
    root: str
    low: bool
    task: str
    deliveries: int
    payload: str
    guess: float


class FairQueue:
    """The messages of one queue, in the fair order of their roots."""

    def __init__(
        self,
        client: redis.Redis,
        name: str,
        *,
        prefix: str = "",
        floor: float = 0.05,
        gate: LowGate | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`floor` is the share of the roots served before; `clock` replaces the server's."""
        self.name = name
        self.base = base_of(prefix, name)
        self.client = client
        self._floor = floor
        self._gate = gate or LowGate()
        self._clock = clock

    def publish(
        self, payload: str, *, id: str, producer: str, number: int, root: str,
        again: bool = False, low: bool = False, step: int = 0, weight: float | None = None,
        due: float | None = None,
    ) -> bool:  # fmt: skip
        """Put a message behind the others of its root; False: `again` found it published.

        A producer numbers its messages 1, 2, 3 …; it repeats only its last one.
        """
        arguments = publish_arguments(
            payload, id=id, producer=producer, number=number, root=root, again=again, low=low,
            step=step, weight=weight, due=due, now=self._now,
        )  # fmt: skip
        return bool(self._run("publish", *arguments))

    def take(self, consumer: str | None, request: int) -> tuple[Taken | None, float]:
        """Take the next message, and say in how many ms another look is worth it (-1: none).

        Without a consumer it is taken for good. The same request again returns the same lease.
        """
        arguments = take_arguments(consumer, request, self._floor, self._gate, self._now)
        return taken_of(self._run("take", *arguments))

    def refresh(self, consumer: str, running: Sequence[tuple[int, float]]) -> None:
        """Charge what has run for longer than was guessed: leases and how long they ran."""
        self._run("refresh", self._now, consumer, *chain.from_iterable(running))

    def ack(self, consumer: str, lease: int, elapsed: float, *, root: str, low: bool) -> bool:
        """End a lease and charge its root; False: it was not out any more."""
        arguments = ack_arguments(consumer, lease, elapsed, root, low, self._now)
        return bool(self._run("ack", *arguments))

    def requeue(self, consumer: str, lease: int, elapsed: float) -> bool:
        """Give a message back to the front of its root; False: it was not out any more."""
        return bool(self._run("requeue", self._now, consumer, lease, elapsed))

    def defer(self, consumer: str, lease: int, delay: float) -> bool:
        """Give a message back until in `delay` ms; False: it was not out any more."""
        return bool(self._run("defer", self._now, consumer, lease, delay))

    def beat(
        self, consumer: str, held: Iterable[int], *, slots: int = 1,
        lost_after: float = LOST_AFTER, pass_every: float = PASS_EVERY,
    ) -> list[int]:  # fmt: skip
        """Say that a consumer lives, how much it runs at once, and what it holds.

        Returns which of that it holds no more.
        """
        lost = self._run("beat", self._now, consumer, lost_after, pass_every, slots, *held)
        return [int(lease) for lease in lost]

    def leave(self, consumer: str) -> int:
        """End a consumer: what it holds goes back at once; how much that was."""
        return int(self._run("leave", consumer))

    def move(self, root: str, *, low: bool, at_once: int = MOVED_AT_ONCE) -> int:
        """Let what waits of a root wait in the other class; how much is left where it was.

        Nothing is, but where some waits in both classes: then it goes on at the next call.
        """
        return int(self._run("move", root, _CLASS[low], at_once))

    def hold(self, root: str) -> int:
        """Let nothing of a root be taken until `release`; how much waits of it."""
        return int(self._run("hold", self._now, root))

    def release(self, root: str) -> int:
        """Let what was held be taken again; how much that was."""
        return int(self._run("release", root))

    def drop(self, root: str) -> int:
        """Remove what waits of a root, held or not; how much that was."""
        return int(self._run("drop", root))

    def mark(self, root: str, marks: Mapping[str, str | int]) -> bool:
        """Say what is to become of messages when they are next; False: nothing waits.

        By job: `low`, it goes to the low class; `normal`, not any more; or a number: copies of
        that dispatch and of earlier ones are dropped. At most some hundred at once.
        """
        return bool(self._run("mark", root, *chain.from_iterable(marks.items())))

    def has_marks(self, root: str) -> bool:
        """Say whether `mark` said something of a root that may still be done."""
        return bool(self.client.exists(f"{self.base}marks:{root}"))

    def is_held(self, root: str) -> bool:
        """Say whether nothing of a root is taken until `release`."""
        return self.client.zscore(f"{self.base}held", root) is not None

    def held_roots(self, at_most: int = _ROOTS_AT_ONCE) -> list[str]:
        """List roots that are held, those that are for longest first."""
        found: Any = self.client.zrange(f"{self.base}held", 0, at_most - 1)
        return [_text(root) for root in found]

    def pause(self, *, on: bool) -> bool:
        """Let nothing be taken, or let it be taken again; False: so it was before."""
        return bool(self._run("pause", self._now, int(on)))

    def size(self) -> int:
        """Count what waits, held or not, and what is due later, without what is leased."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hmget(f"{self.base}meta", "waiting", "low:waiting", "held")
            pipe.zcard(f"{self.base}due")
            waiting, due = pipe.execute()
        return sum(int(count or 0) for count in waiting) + due

    def capacity(self) -> int:
        """Sum how many messages the consumers that live run at once."""
        found: Any = self.client.hget(f"{self.base}meta", "capacity")
        return int(found or 0)

    def purge(self) -> int:
        """Remove what waits, held or not, and what is due later; how much that was."""
        removed, more = 0, 1
        while more:
            count, more = self._run("purge", _ROOTS_AT_ONCE)
            removed += count
        return removed

    def declare(self) -> None:
        """Let the queue exist before it has a message; its epoch tells of an emptied Redis."""
        self.client.hsetnx(f"{self.base}meta", "epoch", uuid.uuid4().hex)

    def is_declared(self) -> bool:
        """Say whether the queue exists."""
        return bool(self.client.exists(f"{self.base}meta"))

    def delete(self) -> None:
        """Remove the queue and all that is in it; what is leased goes on."""
        self.purge()
        consumers: Any = self.client.zrange(f"{self.base}cons", 0, -1)
        seconds: Any = self.client.time()[0]
        now = seconds * 1000 if self._clock is None else self._clock()
        held = (f"c:{_text(consumer)}" for consumer in consumers)
        names = [*_WHOLE, *held, *served_of(now)]
        self.client.delete(*(self.base + name for name in names))

    def holds(self, consumer: str, lease: int) -> bool:
        """Say whether a lease is out for this consumer."""
        return bool(self.client.hexists(f"{self.base}c:{consumer}", f"f{lease}"))

    @property
    def _now(self) -> float | str:
        return "" if self._clock is None else self._clock()

    def _run(self, verb: str, *arguments: Any) -> Any:
        return script(verb).run(self.client, self.base, *arguments)


_PER_CLASS = ("ring", "fresh", "arrived", "park", "infl")
_WHOLE = (
    *_PER_CLASS, *(f"low:{name}" for name in _PER_CLASS),
    "weights", "held", "since", "due", "due_messages", "cons", "slots", "suspects", "est",
    "meta", "wake", "quarantine", "quarantine_messages", "quarantined",
)  # fmt: skip
_CLASS = {False: "normal", True: "low"}


def publish_arguments(
    payload: str, *, id: str, producer: str, number: int, root: str, again: bool, low: bool,
    step: int, weight: float | None, due: float | None, now: float | str = "",
) -> tuple[Any, ...]:  # fmt: skip
    """Order what publish.lua wants."""
    return (
        now, producer, number, int(again), _CLASS[low], step, root,
        "" if weight is None else weight, "" if due is None else due, id, payload, REMEMBERED,
    )  # fmt: skip


def take_arguments(
    consumer: str | None, request: int, floor: float, gate: LowGate, now: float | str = ""
) -> tuple[Any, ...]:
    """Order what take.lua wants."""
    return now, consumer or "", request, floor, *gate.arguments


def ack_arguments(
    consumer: str, lease: int, elapsed: float, root: str, low: bool, now: float | str = ""
) -> tuple[Any, ...]:
    """Order what ack.lua wants."""
    return now, consumer, lease, elapsed, _CLASS[low], root


def taken_of(reply: Sequence[Any]) -> tuple[Taken | None, float]:
    """Read what take.lua returned."""
    if len(reply) == 1:
        return None, float(reply[0])
    _, lease, name, root, deliveries, task, payload, guess = reply
    taken = Taken(
        int(lease), _text(root), _text(name) == "low", _text(task), int(deliveries),
        _text(payload), float(guess),
    )  # fmt: skip
    return taken, -1.0


def _text(value: bytes | str) -> str:
    """Read a reply; what is not UTF-8 is kept, so that it can be refused where it is read."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
