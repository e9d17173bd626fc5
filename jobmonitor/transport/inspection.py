"""What one fair queue looks like: its numbers, its roots, its consumers, its gate.

Runs in: whoever looks. Nothing here changes anything, and every read is bounded: the number of
commands does not grow with the roots or messages of the queue. Times are milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.keys import COUNTED_MINUTES, MINUTE, base_of, served_of
from jobmonitor.transport.scripts import script

#: how many roots, and how many consumers, are shown at most
ROOTS_MAX = 50
CONSUMERS_MAX = 500
#: the windows in which it is said what roots received, in minutes before the one that began
MINUTES = 5
HOUR = COUNTED_MINUTES
_LOOKED_AT = 20
_LEASES_SHOWN = 20
_CONSUMERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class GateState:
    """Whether a low message would be taken now, and why not."""

    is_open: bool
    reason: str


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue as a whole; what is held, due or quarantined is not counted as waiting.

    `waiting` are normal messages, `low` those that wait for low load, `running` leases that are
    out, `roots` and `low_roots` those of which something waits. `oldest` is how long the oldest
    waits of the messages that are next of 20 roots at each front, None where nothing waits.
    """

    name: str
    waiting: int
    low: int
    running: int
    due: int
    held: int
    quarantined: int
    roots: int
    low_roots: int
    capacity: int
    paused_at: float | None
    oldest: float | None
    gate: GateState


@dataclass(frozen=True, slots=True)
class Received:
    """What a root received in a window, and was due; shares are of what all roots received.

    Its due is its weight among the weights of the roots that received something, minute by
    minute, as long as it waited or ran. Whoever offers less than that receives less, and then
    others receive more. None where nobody received anything.
    """

    ms: float
    share: float | None
    due_share: float | None


@dataclass(frozen=True, slots=True)
class RootState:
    """A root: what of it waits, runs and is held, and where it stands.

    `position` counts from 1: new roots in the order in which they came, then those that were
    served before, then low ones. Those served before get ahead for the floor that is theirs.
    None where nothing of it waits in the order. The windows are the minute that began, and
    those before it.
    """

    root: str
    waiting: int
    low: int
    running: int
    held: int
    weight: float
    position: int | None
    oldest: float | None
    last_minutes: Received
    last_hour: Received


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is out: of which root and task, and its job where the message says it."""

    lease: int
    root: str
    task: str
    job: str
    low: bool


@dataclass(frozen=True, slots=True)
class ConsumerState:
    """Who consumes: how much it runs at once, how long it was silent, and its newest leases."""

    name: str
    slots: int
    silent: float
    leases: int
    newest: tuple[Held, ...]


class Inspection:
    """Reads of one fair queue; the server's clock counts unless another is given."""

    def __init__(
        self, client: redis.Redis, name: str, *, prefix: str = "", gate: LowGate | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._client = client
        self._name = name
        self._base = base_of(prefix, name)
        self._gate = gate or LowGate()
        self._clock = clock

    def queue(self) -> QueueState:
        """Read the queue as a whole; one command."""
        now, *counts, waited, paused, oldest = map(_text, self._run("queue", _LOOKED_AT))
        waiting, low, running, due, held, quarantined, roots, low_roots, slots = map(
            int, counts
        )
        return QueueState(
            self._name, waiting, low, running, due, held, quarantined, roots, low_roots, slots,
            paused_at=float(paused) if paused else None, oldest=_age(now, oldest),
            gate=_gate_state(
                self._gate, waiting=waiting, low=low, slots=slots, running=running,
                waited=float(waited) if waited else None, now=float(now),
            ) if not paused else GateState(False, "the queue is paused"),
        )  # fmt: skip

    def roots(self, limit: int = 20) -> list[RootState]:
        """Read the first roots in the order, then some of those that only run or are held.

        At most `limit` of each. What they received comes from one pipeline.
        """
        limit = max(1, min(limit, ROOTS_MAX))
        return self._roots(limit)

    def root(self, root: str) -> RootState:
        """Read one root; where nothing is known of it everything is 0 or None."""
        return self._roots(1, root)[0]

    def consumers(self) -> list[ConsumerState]:
        """Read who consumes, at most 500, the one that was silent for longest first.

        A command for each hundred: each of them is short for the others on the server.
        """
        states: dict[str, ConsumerState] = {}
        for first in range(0, CONSUMERS_MAX, _CONSUMERS_AT_ONCE):
            now, *found = self._run("consumers", first, _CONSUMERS_AT_ONCE, _LEASES_SHOWN)
            for facts in found:
                state = _consumer(float(_text(now)), facts)
                states[state.name] = state  # one that beats meanwhile comes again
            if len(found) < _CONSUMERS_AT_ONCE:
                break
        return list(states.values())

    def _run(self, what: str, *arguments: Any) -> Any:
        now = "" if self._clock is None else self._clock()
        return script(f"inspect_{what}").run(self._client, self._base, now, *arguments)

    def _roots(self, limit: int, *only: str) -> list[RootState]:
        now, *facts = map(_text, self._run("roots", limit, *only))
        found = [_RootFacts(*facts[i : i + 8]) for i in range(0, len(facts), 8)]
        minutes = self._minutes(float(now), [each.root for each in found])
        return [_root(float(now), each, place, minutes) for place, each in enumerate(found)]

    def _minutes(self, now: float, roots: Sequence[str]) -> list[_Minute]:
        """Read what these roots received, the newest minute first."""
        fields = ["total", "weights", *(f"r{root}" for root in roots)]
        with self._client.pipeline(transaction=False) as pipe:
            for name in served_of(now):
                pipe.hmget(self._base + name, fields)
            rows = pipe.execute()
        last = math.floor(now / MINUTE)
        return [
            _Minute(
                (last - back + 1) * MINUTE, float(total or 0), float(weights or 0),
                [None if each is None else float(each) for each in received],
            )
            for back, (total, weights, *received) in enumerate(rows)
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _RootFacts:
    """As inspect_roots.lua says it."""

    root: str
    waiting: str
    low: str
    running: str
    held: str
    weight: str
    position: str
    published: str


@dataclass(frozen=True, slots=True)
class _Minute:
    ends: float
    total: float
    weights: float
    received: list[float | None]


def _root(now: float, facts: _RootFacts, place: int, minutes: Sequence[_Minute]) -> RootState:
    waiting, low = int(facts.waiting), int(facts.low)
    held = waiting + low if facts.held == "1" else 0
    weight = float(facts.weight)
    since = float(facts.published) if facts.published and not held else math.inf
    if int(facts.running):
        since = min(since, now)
    windows = (
        _received(minutes[: length + 1], place, weight, since) for length in (MINUTES, HOUR)
    )
    return RootState(
        facts.root, 0 if held else waiting, 0 if held else low, int(facts.running), held,
        weight, int(facts.position) or None, _age(str(now), facts.published), *windows,
    )  # fmt: skip


def _received(minutes: Sequence[_Minute], place: int, weight: float, since: float) -> Received:
    """Sum what a root received and was due; it waits since a moment, or never (inf)."""
    ms = due = total = 0.0
    for minute in minutes:
        total += minute.total
        received = minute.received[place]
        if received is not None:
            ms += received
            due += minute.total * weight / max(minute.weights, weight)
        elif minute.ends > since:
            due += minute.total * weight / (minute.weights + weight)
    if total <= 0:
        return Received(ms, None, None)
    return Received(ms, ms / total, due / total)


def _gate_state(
    gate: LowGate, *, waiting: int, low: int, slots: int, running: int, waited: float | None,
    now: float,
) -> GateState:  # fmt: skip
    """Say what take.lua would find, in the order in which it looks."""
    if waiting:
        return GateState(False, "normal jobs wait")
    if not low:
        return GateState(False, "no low job waits")
    reserve = gate.reserve
    if reserve is None:
        reserve = 0 if slots == 1 else math.ceil(slots / 8)
    free = slots - running
    if slots and free <= reserve:
        return GateState(False, f"{free} of {slots} slots free, {reserve} kept for normal jobs")
    calm = gate.calm if waited is None else now - waited
    if calm < gate.calm:
        return GateState(False, f"calm for {calm / 1000:.1f} of {gate.calm / 1000:g} s")
    return GateState(True, "open")


def _consumer(now: float, facts: Sequence[Any]) -> ConsumerState:
    name, slots, beat, count, leases = facts
    newest = tuple(
        Held(int(lease), _text(root), _text(task), _text(job), _text(kind) == "low")
        for lease, root, task, job, kind in leases
    )
    silent = max(now - float(_text(beat)), 0.0)
    return ConsumerState(_text(name), int(slots), silent, int(count), newest)


def _age(now: str, since: str) -> float | None:
    return max(float(now) - float(since), 0.0) if since else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
