"""The state machine: producers and consumers of one queue, the Lua scripts beside the model."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

import redis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.model import Given, Model
from tests.transport.order_invariants import (
    check_charged_once,
    check_dropped,
    check_gave,
    check_keys_left,
    check_order,
    check_took_all,
    check_trimmed,
    id_of,
    is_copy_in_front,
    messages_of,
)
from tests.transport.server_state import keys_of, server_snapshot

CONSUMERS = ("ann", "bob", "eve")
_roots = st.sampled_from(["a", "b", "c", "d", "e", "an ö \n%s 7", ""])
_tasks = st.sampled_from(["app.short", "app.long", "app.ö", None])
_weights = st.sampled_from([None, None, None, 1, 2, 0.3, 7.5])
_steps_of_priority = st.sampled_from([0, 0, 0, 3, 6])
_rarely = st.integers(0, 3).map(lambda number: number == 0)
#: sevenths and thirds: sums of them differ when they are made in another order
_elapsed = st.one_of(
    st.sampled_from([0, 0.4, 1, 100, 100.1, 61_000, 200_000.7]),
    st.integers(0, 9_000).map(lambda number: number / 7),
)
_steps = st.one_of(
    st.sampled_from([0.125, 1_000, 4_999.9, 5_000, 15_001, 31_000, 100_000, -60_000]),
    st.integers(0, 30_000).map(lambda number: number / 3),
)
_TIMED = (
    "publish", "take", "ack", "refresh", "requeue", "beat", "hold", "defer", "pause",
)  # fmt: skip
_which = st.integers(0, 1_000)
_consumers = st.sampled_from(CONSUMERS)


class OrderMachine(RuleBasedStateMachine):
    """What producers and consumers do, one after the other, and with lost replies."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushdb()
        self.client = client
        self.now = 1_700_000_000_000.25
        self.published = 0
        self.last_publish: dict[str, Any] = {}
        self.requests = dict.fromkeys(CONSUMERS, 0)
        #: what each consumer knows that it holds, and all that was ever given out
        self.told: dict[str, dict[int, Given]] = {name: {} for name in CONSUMERS}
        self.ever: list[tuple[str, Given]] = []
        #: the messages that must still be somewhere
        self.alive: set[str] = set()
        self.is_sound = False

    @initialize(
        floor=st.sampled_from([0.05, 0.05, 0.05, 0.0, 0.3]), backlog=st.booleans(),
        reserve=st.sampled_from([None, 0, 1, 9]), calm=st.sampled_from([0, 5_000]),
        longest=st.sampled_from([None, 20_000, 10_000_000]), stepped=st.booleans(),
    )  # fmt: skip
    def begin(
        self, floor: float, backlog: bool, reserve: int | None, calm: float,
        longest: float | None, stepped: bool,
    ) -> None:  # fmt: skip
        self.stepped = stepped
        gate = LowGate(reserve, calm, 100, longest)
        self.open(floor, gate)
        self.model = Model(floor=floor, gate=gate)
        self.before = self.model.snapshot()
        for root in ("a", "b", "c") if backlog else ():
            self.put(root, "app.short", None, False, False, None, 4)

    def open(self, floor: float, gate: LowGate) -> None:
        self.queue = FairQueue(
            self.client, "jobs", floor=floor, gate=gate, clock=lambda: self.now
        )

    def both(self, verb: str, *arguments: Any, **options: Any) -> Any:
        """Do it to both, with the same answer; returns it."""
        self.is_sound = False
        timed = (self.now,) if verb in _TIMED else ()
        expected = getattr(self.model, verb)(*timed, *arguments, **options)
        found = getattr(self.queue, verb)(*arguments, **options)
        if verb == "take":
            taken, wait = found
            found = (taken and Given(*astuple(taken)), wait)
        assert found == expected, f"{verb}: the server says {found}, the model {expected}"
        return expected

    # publish

    @rule(
        root=_roots, task=_tasks, weight=_weights, low=_rarely, again=_rarely,
        due=st.one_of(st.none(), st.none(), _steps), count=st.integers(1, 3),
        step=_steps_of_priority,
    )  # fmt: skip
    def publish(
        self, root: str, task: str | None, weight: float | None, low: bool, again: bool,
        due: float | None, count: int, step: int,
    ) -> None:  # fmt: skip
        step = 0 if low or not self.stepped else step
        self.put(root, task, weight, low, again, due, count, step)

    @rule(count=st.integers(5, 15))
    def publish_many_roots(self, count: int) -> None:
        """More than a take looks at when it trims."""
        for number in range(count):
            self.put(f"one {number}", "app.short", None, False, False, None, 1)

    def put(
        self, root: str, task: str | None, weight: float | None, low: bool, again: bool,
        due: float | None, count: int, step: int = 0,
    ) -> None:  # fmt: skip
        for _ in range(count):
            self.published += 1
            name = f"m{self.published}"
            payload: dict[str, Any] = (
                {"id": name} if task is None else {"task": task, "id": name}
            )
            if self.published % 3:
                payload["jobmonitor"] = {"dispatch": self.published % 3}
            self.last_publish = {
                "payload": json.dumps(payload), "id": name, "producer": "paul",
                "number": self.published, "root": root, "weight": weight, "low": low,
                "step": step, "due": None if due is None else self.now + due,
            }  # fmt: skip
            # the first attempt may not have arrived, then the repeated one is the first
            assert self.both("publish", **self.last_publish, again=again)
            self.alive.add(name)

    @precondition(lambda self: self.last_publish)
    @rule()
    def publish_the_last_again(self) -> None:
        assert not self.both("publish", **self.last_publish, again=True)

    # take

    @rule(consumer=_consumers, is_lost=_rarely)
    def take(self, consumer: str, is_lost: bool) -> None:
        self.requests[consumer] += 1
        given = self.receive(consumer, is_lost)
        if given:
            check_gave(given, self.before, self.model.gate, self.now)
        if not self.before["paused"]:
            check_trimmed(self.before, self.model.snapshot())

    @rule(consumer=_consumers)
    def take_the_last_again(self, consumer: str) -> None:
        self.receive(consumer, False)

    def receive(self, consumer: str, is_lost: bool) -> Given | None:
        given, _ = self.both("take", consumer, self.requests[consumer])
        self.forget_dropped(given)
        if given is None:
            check_took_all(self.model.snapshot(), self.model.gate, self.now)
        else:
            self.ever.append((consumer, given))
            if not is_lost:
                self.told[consumer][given.lease] = given
        return given

    def forget_dropped(self, given: Given | None) -> None:
        here = {id_of(given.payload)} if given else set()
        gone = self.alive - here - set(messages_of(self.model.snapshot()))
        check_dropped(self.before, gone)
        self.alive -= gone

    @rule()
    def take_for_good(self) -> None:
        given, _ = self.both("take", None, 0)
        self.forget_dropped(given)
        if given is None:
            check_took_all(self.model.snapshot(), self.model.gate, self.now)
        else:
            self.alive.remove(id_of(given.payload))

    @rule(consumer=_consumers, elapsed=st.lists(_elapsed, min_size=1, max_size=8))
    def work(self, consumer: str, elapsed: list[float]) -> None:
        """Take and acknowledge, one after the other."""
        for ms in elapsed:
            self.requests[consumer] += 1
            self.before = self.model.snapshot()
            given = self.receive(consumer, False)
            if given:
                self.before = self.model.snapshot()
                self.acknowledge(consumer, given, ms)

    @rule(consumer=_consumers, count=st.integers(2, 12))
    def take_some(self, consumer: str, count: int) -> None:
        for _ in range(count):
            self.requests[consumer] += 1
            self.receive(consumer, False)

    # what is held

    @precondition(lambda self: any(self.told.values()))
    @rule(which=_which, elapsed=_elapsed)
    def ack(self, which: int, elapsed: float) -> None:
        known = [(name, given) for name in CONSUMERS for given in self.told[name].values()]
        self.acknowledge(*known[which % len(known)], elapsed)

    @precondition(lambda self: self.ever)
    @rule(which=_which, elapsed=_elapsed)
    def ack_anything_ever_given(self, which: int, elapsed: float) -> None:
        self.acknowledge(*self.ever[which % len(self.ever)], elapsed)

    def acknowledge(self, consumer: str, given: Given, elapsed: float) -> None:
        message = id_of(given.payload)
        returns = is_copy_in_front(self.before, given)
        where = {"root": given.root, "low": given.low}
        ended = self.both("ack", consumer, given.lease, elapsed, **where)
        check_charged_once(self.before, self.model.snapshot(), consumer, given, elapsed, ended)
        if ended or returns:
            self.alive.remove(message)
        self.told[consumer].pop(given.lease, None)

    @precondition(lambda self: self.ever)
    @rule(which=_which, elapsed=_elapsed)
    def requeue(self, which: int, elapsed: float) -> None:
        consumer, given = self.ever[which % len(self.ever)]
        self.both("requeue", consumer, given.lease, elapsed)
        self.told[consumer].pop(given.lease, None)

    @rule(consumer=_consumers, elapsed=st.lists(_elapsed, min_size=4, max_size=4))
    def refresh(self, consumer: str, elapsed: list[float]) -> None:
        held = [*self.told[consumer], 999]
        self.both("refresh", consumer, list(zip(held, elapsed, strict=False)))

    @precondition(lambda self: self.ever)
    @rule(which=_which, delay=st.sampled_from([0, 500, 20_000]))
    def defer(self, which: int, delay: float) -> None:
        consumer, given = self.ever[which % len(self.ever)]
        self.both("defer", consumer, given.lease, delay)
        self.told[consumer].pop(given.lease, None)

    # what is said of roots that wait

    @precondition(lambda self: self.waiting())
    @rule(which=_which, low=st.booleans(), at_once=st.sampled_from([1, 100]))
    def move(self, which: int, low: bool, at_once: int) -> None:
        self.both("move", self.one_of(which), low=low, at_once=at_once)

    @rule(root=_roots, low=st.booleans())
    def move_what_waits_in_both_classes(self, root: str, low: bool) -> None:
        for is_low in (True, False):
            self.put(root, "app.short", None, is_low, False, None, 1)
        self.both("move", root, low=low)

    @precondition(lambda self: self.waiting())
    @rule(which=_which)
    def hold(self, which: int) -> None:
        self.both("hold", self.one_of(which))

    @precondition(lambda self: self.before["held"])
    @rule(which=_which)
    def release(self, which: int) -> None:
        held = sorted(self.before["held"])
        self.both("release", held[which % len(held)])

    @rule(root=_roots, verb=st.sampled_from(["hold", "release", "drop"]))
    def steer_any(self, root: str, verb: str) -> None:
        """Of a root that may not wait, or is not held."""
        self.both(verb, root)
        self.alive &= set(messages_of(self.model.snapshot()))

    @precondition(lambda self: self.waiting())
    @rule(
        which=_which, first=st.integers(0, 3), count=st.integers(1, 4),
        mark=st.sampled_from(["low", "low", "normal", 0, 1, 2]),
    )  # fmt: skip
    def mark(self, which: int, first: int, count: int, mark: str | int) -> None:
        root = self.one_of(which)
        jobs = self.waiting()[root][first : first + count]
        self.both("mark", root, dict.fromkeys(jobs, mark))

    def one_of(self, which: int) -> str:
        roots = sorted(self.waiting())
        return roots[which % len(roots)]

    def waiting(self) -> dict[str, list[str]]:
        """The jobs that wait, by their roots."""
        found: dict[str, list[str]] = {}
        for roots in (self.before["normal"], self.before["low"]):
            for root, steps in roots["lists"].items():
                jobs = [id_of(element[3]) for step in sorted(steps) for element in steps[step]]
                found.setdefault(root, []).extend(jobs)
        return found

    @rule(on=_rarely)
    def pause(self, on: bool) -> None:
        self.both("pause", on=on)

    # consumers

    @rule(consumer=_consumers, skipped=st.sampled_from([0, 0, 1, 9]), slots=st.integers(0, 3))
    def beat(self, consumer: str, skipped: int, slots: int) -> None:
        """A consumer says what it holds, or has forgotten some of it."""
        self.tell(consumer, skipped, slots)

    @rule(silent=_consumers, beats=st.integers(7, 16), each=st.sampled_from([5_000, 6_000.5]))
    def time_goes_on_without_one(self, silent: str, beats: int, each: float) -> None:
        """The others go on beating, one of them is silent."""
        others = [name for name in CONSUMERS if name != silent]
        for number in range(beats):
            self.now += each
            self.tell(others[number % 2], 0)

    def tell(self, consumer: str, skipped: int, slots: int = 1) -> None:
        held = list(self.told[consumer])[skipped:]
        for lease in self.both("beat", consumer, held, slots=slots):
            del self.told[consumer][lease]

    @rule(consumer=_consumers)
    def leave(self, consumer: str) -> None:
        self.both("leave", consumer)
        self.told[consumer].clear()

    @rule(really=_rarely)
    def purge(self, really: bool) -> None:
        if not really:
            return
        self.both("purge")
        held = self.model.snapshot()["leases"].values()
        self.alive = {
            id_of(lease["element"][3]) for leases in held for lease in leases.values()
        }

    @rule(ms=_steps)
    def advance(self, ms: float) -> None:
        self.now += ms

    # after every step

    @invariant()
    def model_and_server_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        expected = self.model.snapshot()
        found = server_snapshot(self.client, self.queue.base)
        for name, value in expected.items():
            assert found[name] == value, f"{name}: server {found[name]}, model {value}"
        check_order(self.before, expected, self.alive)
        self.before, self.is_sound = expected, True

    def teardown(self) -> None:
        """Everything is taken and acknowledged: nothing is left of it on the server."""
        if not self.is_sound:
            return
        for consumer in CONSUMERS:
            self.both("leave", consumer)
        self.both("pause", on=False)
        for root in list(self.before["held"]):
            self.both("release", root)
        gate = LowGate(reserve=-100, calm=0)
        self.open(self.model.floor, gate)
        self.model.gate = gate
        latest = [due[0] for due in self.before["due"].values()]
        self.now = max([self.now, self.before["normal_waited"] or 0, *latest])
        assert self.queue.size() == self.model.size()
        while self.model.size():
            self.requests["ann"] += 1
            given, _ = self.both("take", "ann", self.requests["ann"])
            if given:
                self.both("ack", "ann", given.lease, 10, root=given.root, low=given.low)
        self.both("leave", "ann")
        assert server_snapshot(self.client, self.queue.base) == self.model.snapshot()
        check_keys_left(keys_of(self.client, self.queue.base))
