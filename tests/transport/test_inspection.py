"""What a queue, its roots and its consumers look like, counted by hand on a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue, Taken
from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.inspection import HOUR, GateState, Inspection, RootState
from tests.transport.conftest import Clock

MINUTE = 60_000.0


@dataclass
class Yard:
    """A queue, and who looks at it."""

    client: redis.Redis
    queue: FairQueue
    clock: Clock
    numbers: list[int] = field(default_factory=lambda: [0])
    name: str = "yard"

    def say(self, root: str, count: int = 1, **options: Any) -> None:
        for _ in range(count):
            self.numbers[0] += 1
            payload = json.dumps({"task": "shop.work", "id": f"m{self.numbers[0]}"})
            self.queue.publish(
                payload, id=f"m{self.numbers[0]}", producer="p", number=self.numbers[0],
                root=root, **options,
            )  # fmt: skip

    def take(self, consumer: str = "ann") -> Taken:
        self.numbers[0] += 1
        taken, _ = self.queue.take(consumer, self.numbers[0])
        assert taken is not None
        return taken

    def run(self, ms: float, consumer: str = "ann") -> str:
        """Take the next message and end it after so long; its root."""
        taken = self.take(consumer)
        self.clock.now += ms
        self.queue.ack(consumer, taken.lease, ms, root=taken.root, low=taken.low)
        return taken.root

    def look(self, **gate: Any) -> Inspection:
        return Inspection(self.client, self.name, gate=LowGate(**gate), clock=self.clock)

    def roots(self, limit: int = 100) -> dict[str, RootState]:
        return {each.root: each for each in self.look().roots(limit)}

    def gate(self, **gate: Any) -> GateState:
        return self.look(**gate).queue().gate


@pytest.fixture
def yard(client: redis.Redis, clock: Clock) -> Yard:
    client.flushdb()
    clock.now = 1_700_000_040_000.0  # a whole minute
    return Yard(client, FairQueue(client, "yard", floor=0, clock=clock), clock)


def test_an_empty_queue_is_all_zero(yard: Yard) -> None:
    state = yard.look().queue()
    assert (state.waiting, state.low, state.running, state.due, state.held) == (0, 0, 0, 0, 0)
    assert (state.quarantined, state.roots, state.capacity) == (0, 0, 0)
    assert (state.oldest, state.paused_at) == (None, None)
    assert state.gate == GateState(False, "no low job waits")
    assert (yard.look().roots(), yard.look().consumers()) == ([], [])
    assert yard.look().root("nobody").position is None


def test_the_numbers_of_a_queue_are_those_of_its_messages(yard: Yard) -> None:
    yard.queue.beat("ann", [], slots=3)
    yard.say("a", 4)
    yard.clock.now += 1_000
    yard.say("b", 2)
    yard.say("c", 3, low=True)
    yard.say("d", 5)
    yard.say("d", due=yard.clock.now + 9_000)
    yard.queue.hold("d")
    yard.client.zadd(f"{yard.queue.base}quarantined", {"x": 1})
    yard.take()
    yard.clock.now += 500
    state = yard.look().queue()
    assert (state.name, state.waiting, state.low, state.running) == ("yard", 5, 3, 1)
    assert (state.due, state.held, state.quarantined) == (1, 5, 1)
    assert (state.roots, state.low_roots, state.capacity) == (2, 1, 3)
    assert state.oldest == 1_500  # three of a still wait
    yard.queue.pause(on=True)
    paused = yard.look().queue()
    assert paused.paused_at == yard.clock.now
    assert paused.gate == GateState(False, "the queue is paused")
    yard.queue.pause(on=False)
    assert yard.look().queue() == state


def test_the_oldest_is_found_among_roots_served_before_and_low_ones(yard: Yard) -> None:
    yard.say("low", low=True)
    yard.clock.now += 1_000
    yard.say("served", 2)
    yard.run(10)
    yard.clock.now += 1_000
    yard.say("new")
    assert yard.look().queue().oldest == 2_010
    yard.queue.drop("low")
    assert yard.look().queue().oldest == 1_010
    yard.queue.drop("served")
    assert yard.look().queue().oldest == 0


def test_the_gate_says_what_it_waits_for(yard: Yard) -> None:
    yard.queue.beat("ann", [], slots=4)
    yard.say("low", 9, low=True)
    assert yard.gate() == GateState(True, "open")
    yard.say("normal")
    assert yard.gate() == GateState(False, "normal jobs wait")
    yard.take()
    assert yard.gate() == GateState(True, "open")
    assert yard.gate(reserve=3) == GateState(False, "3 of 4 slots free, 3 kept for normal jobs")
    yard.say("normal")
    yard.clock.now += 200  # more than the patience
    yard.take()
    yard.clock.now += 2_100
    assert yard.gate() == GateState(False, "calm for 2.1 of 5 s")
    yard.clock.now += 2_900
    assert yard.gate() == GateState(True, "open")


def test_the_gate_that_is_shown_is_the_one_that_take_asks(yard: Yard) -> None:
    """Slot by slot, low messages are taken as long as the gate is said to be open."""
    yard.queue.beat("ann", [], slots=4)
    yard.say("low", 9, low=True)
    opened = []
    while yard.gate().is_open:
        opened.append(yard.take().low)
    assert opened == [True, True, True]
    assert yard.gate().reason == "1 of 4 slots free, 1 kept for normal jobs"
    assert yard.queue.take("ann", 999)[0] is None


def test_roots_stand_in_their_order_and_say_what_they_have(yard: Yard) -> None:
    yard.say("served", 4, weight=2)
    yard.run(10)
    yard.take()
    yard.say("second", 2)
    yard.say("third")
    yard.say("low", 3, low=True)
    yard.say("held", 2)
    yard.queue.hold("held")
    yard.clock.now += 700
    found = yard.look().roots()
    assert [(each.root, each.position) for each in found] == [
        ("second", 1), ("third", 2), ("served", 3), ("low", 4), ("held", None),
    ]  # fmt: skip
    by_root = {each.root: each for each in found}
    served = by_root["served"]
    assert (served.waiting, served.low, served.running, served.held) == (2, 0, 1, 0)
    assert (served.weight, served.oldest) == (2.0, 710)
    assert (by_root["low"].waiting, by_root["low"].low) == (0, 3)
    assert (by_root["held"].waiting, by_root["held"].held) == (0, 2)
    assert yard.look().root("third") == by_root["third"]


def test_a_root_of_which_all_runs_is_shown_behind_the_order(yard: Yard) -> None:
    yard.say("all runs")
    yard.take()
    for number in range(5):
        yard.say(f"waits {number}")
    shown = [(each.root, each.running, each.position) for each in yard.look().roots(2)]
    assert shown == [("waits 0", 0, 1), ("waits 1", 0, 2), ("all runs", 1, None)]


def test_what_was_received_is_what_ran_and_not_what_was_guessed(yard: Yard) -> None:
    yard.say("a", 3)
    yard.say("b", 1)
    assert [yard.run(3_000), yard.run(1_000)] == ["a", "b"]
    found = yard.roots()
    assert found["a"].last_minutes.ms == 3_000
    assert found["a"].last_minutes.share == pytest.approx(0.75)
    assert found["a"].last_hour == found["a"].last_minutes
    taken = yard.take()  # charged with its guess, which is not received yet
    assert yard.roots()["a"].last_minutes.ms == 3_000
    yard.queue.refresh("ann", [(taken.lease, 9_000.0)])
    assert yard.roots()["a"].last_minutes.ms == 12_000
    yard.queue.requeue("ann", taken.lease, 9_500.0)
    assert yard.roots()["a"].last_minutes.ms == 12_500


def test_what_is_long_ago_falls_out_of_the_windows(yard: Yard) -> None:
    yard.say("a", 9)
    yard.run(1_000)
    yard.clock.now += 5 * MINUTE
    yard.run(2_000)
    assert yard.roots()["a"].last_minutes.ms == 3_000
    yard.clock.now += MINUTE
    assert yard.roots()["a"].last_minutes.ms == 2_000
    assert yard.roots()["a"].last_hour.ms == 3_000
    yard.clock.now += (HOUR - 5) * MINUTE
    received = yard.roots()["a"]
    assert (received.last_hour.ms, received.last_minutes.share) == (2_000, None)


def test_a_root_is_due_its_weight_in_the_minutes_in_which_it_waited(yard: Yard) -> None:
    yard.say("heavy", 9, weight=3)
    yard.say("light", 9)
    assert [yard.run(600), yard.run(200)] == ["heavy", "light"]
    due = {root: each.last_minutes.due_share for root, each in yard.roots().items()}
    assert due == {"heavy": pytest.approx(0.75), "light": pytest.approx(0.25)}
    yard.clock.now += MINUTE
    yard.say("late", 2)
    assert yard.run(200) == "late"
    # 800 ms of heavy 3 and light 1; then 200 ms of late 1, while both of them waited
    due = {root: each.last_minutes.due_share for root, each in yard.roots().items()}
    assert due == {
        "heavy": pytest.approx((600 + 150) / 1_000),
        "light": pytest.approx((200 + 100) / 1_000),
        "late": pytest.approx(200 / 1_000),
    }
    yard.queue.hold("light")
    assert yard.roots()["light"].last_minutes.due_share == pytest.approx(200 / 1_000)


def test_what_was_received_is_forgotten_after_an_hour(yard: Yard) -> None:
    yard.say("a", 2)
    yard.run(10)
    yard.run(10)
    [key] = yard.client.keys(f"{yard.queue.base}served:*")
    assert 60 * MINUTE < yard.client.pttl(key) <= 63 * MINUTE
    assert yard.client.hgetall(key) == {"total": "20", "weights": "1", "roots": "1", "ra": "20"}


def test_of_too_many_roots_in_a_minute_only_the_sum_is_counted(yard: Yard) -> None:
    key = f"{yard.queue.base}served:{int(yard.clock.now // MINUTE)}"
    yard.client.hset(key, mapping={"total": 1, "weights": 5_000, "roots": 5_000, "rknown": 1})
    yard.say("known", 2)
    yard.say("one more", 2)
    yard.run(10)
    yard.run(10)
    assert yard.client.hgetall(key) == {
        "total": "21", "weights": "5000", "roots": "5000", "rknown": "11",
    }  # fmt: skip


def test_consumers_say_what_they_hold_the_newest_first(yard: Yard) -> None:
    yard.queue.beat("bob", [], slots=2)
    yard.clock.now += 3_000
    yard.queue.beat("ann", [], slots=4)
    yard.say("a", 30)
    for _ in range(25):
        yard.take()
    yard.clock.now += 1_000
    bob, ann = yard.look().consumers()
    assert (bob.name, bob.slots, bob.silent, bob.leases, bob.newest) == ("bob", 2, 4_000, 0, ())
    assert (ann.name, ann.slots, ann.silent, ann.leases) == ("ann", 4, 1_000, 25)
    first = ann.newest[0].lease
    assert [each.lease for each in ann.newest] == list(range(first, first - 20, -1))
    newest = ann.newest[0]
    assert (newest.root, newest.task, newest.job, newest.low) == (
        "a",
        "shop.work",
        "m25",
        False,
    )


def test_every_one_of_many_consumers_is_read_once(yard: Yard) -> None:
    for number in range(205):
        yard.queue.beat(f"c{number}", [], slots=1)
    names = [each.name for each in yard.look().consumers()]
    assert sorted(names) == sorted(f"c{number}" for number in range(205))


READS: dict[str, Callable[[Inspection], Any]] = {
    "queue": Inspection.queue,
    "roots": Inspection.roots,
    "consumers": Inspection.consumers,
}


@pytest.mark.parametrize("read", READS)
def test_a_look_costs_no_more_where_there_is_more_to_see(yard: Yard, read: str) -> None:
    yard.queue.beat("ann", [], slots=4)

    def commands() -> int:
        return min(commands_once() for _ in range(3))  # others may use this server, too

    def commands_once() -> int:
        yard.client.config_resetstat()
        READS[read](yard.look())
        stats: Any = yard.client.info("commandstats")
        return sum(each["calls"] for each in stats.values())

    yard.look().queue(), yard.look().roots(), yard.look().consumers()  # the scripts are known
    for number in range(150):
        yard.say(f"early {number}")
    for _ in range(75):
        yard.run(1)
    few = commands()
    for number in range(1_000):
        yard.say(f"late {number}", 2)
    assert commands() == few
