"""Low jobs run when load is low: nothing normal waits, slots are free, and it has been calm.

By the verbs with a clock of the test's own, and by a worker with real time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.gate import LowGate
from tests.transport.conftest import Clock
from tests.transport.world import QUICK, World
from tests.waiting import eventually

HOUR = 3_600_000.0


@dataclass
class Floor:
    """A shop floor: one queue, one consumer with some slots."""

    queue: FairQueue
    clock: Clock
    slots: int
    submitted: int = 0
    requests: int = 0
    running: dict[str, int] = field(default_factory=dict)

    def submit(self, root: str, *, low: bool = False, count: int = 1) -> None:
        for _ in range(count):
            self.submitted += 1
            payload = json.dumps({"task": "t", "id": f"{root}-{self.submitted}"})
            self.queue.publish(
                payload, id=str(self.submitted), producer="p", number=self.submitted,
                root=root, low=low,
            )  # fmt: skip

    def start(self) -> str | None:
        """Let the consumer take one more; the root of it."""
        self.queue.beat("c", list(self.running.values()), slots=self.slots)
        self.requests += 1
        taken, self.look_in = self.queue.take("c", self.requests)
        if taken is None:
            return None
        self.running[json.loads(taken.payload)["id"]] = taken.lease
        return taken.root

    def start_all(self) -> list[str]:
        """Let it take until its slots are full, or nothing is given."""
        started: list[str] = []
        while len(self.running) < self.slots and (root := self.start()) is not None:
            started.append(root)
        return started

    def end_all(self, elapsed: float = 100) -> None:
        self.clock.now += elapsed
        for lease in self.running.values():
            self.queue.ack("c", lease, elapsed, root="?", low=False)
        self.running.clear()


def floor(client: redis.Redis, clock: Clock, slots: int, **gate: object) -> Floor:
    client.flushdb()
    queue = FairQueue(client, "jobs", gate=LowGate(**gate), clock=clock)  # type: ignore[arg-type]
    return Floor(queue, clock, slots)


# -- the gate ----------------------------------------------------------------------------------


def test_nothing_low_starts_while_a_normal_job_waits(client: redis.Redis, clock: Clock) -> None:
    shop = floor(client, clock, slots=4, calm=0)
    shop.submit("low", low=True)
    shop.submit("normal", count=6)
    assert shop.start_all() == ["normal"] * 4
    shop.end_all()
    assert shop.start_all() == ["normal", "normal", "low"]


@pytest.mark.parametrize(
    ("slots", "reserve", "at_once"),
    [(1, None, 1), (2, None, 1), (8, None, 7), (16, None, 14), (4, 0, 4), (4, 3, 1), (4, 9, 0)],
)
def test_slots_are_kept_free_for_normal_jobs(
    client: redis.Redis, clock: Clock, slots: int, reserve: int | None, at_once: int
) -> None:
    """An eighth of all, but at least one, and none where there is only one."""
    shop = floor(client, clock, slots, reserve=reserve)
    shop.submit("low", low=True, count=20)
    assert shop.start_all() == ["low"] * at_once
    shop.submit("normal", count=20)
    assert shop.start_all() == ["normal"] * (slots - at_once)


@pytest.mark.parametrize("slots", [1, 2])
def test_low_jobs_start_again_once_it_was_calm(
    client: redis.Redis, clock: Clock, slots: int
) -> None:
    shop = floor(client, clock, slots)
    shop.submit("low", low=True, count=2)
    shop.submit("normal", count=slots + 1)
    shop.start_all()
    shop.end_all(elapsed=101)
    assert shop.start_all() == ["normal"], "it had waited longer than 100 ms"
    shop.end_all()
    assert shop.start() is None
    assert shop.look_in == 5_000 - 100, "the consumer knows when to look again"
    clock.now += shop.look_in - 1
    assert shop.start() is None
    clock.now += 1
    assert shop.start() == "low"


def test_normal_jobs_that_hardly_wait_do_not_disturb_the_calm(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=4)
    shop.submit("low", low=True)
    shop.submit("normal")
    clock.now += 100
    assert shop.start_all() == ["normal", "low"]


def test_a_consumer_that_waits_is_woken_when_a_slot_is_free_for_low_jobs(
    client: redis.Redis, clock: Clock
) -> None:
    """Else a normal job that comes every second would always be there first."""
    shop = floor(client, clock, slots=2)
    shop.submit("normal")
    shop.submit("low", low=True)
    assert shop.start_all() == ["normal"]
    assert shop.look_in == -1
    client.delete(f"{shop.queue.base}wake")
    shop.end_all()
    assert client.llen(f"{shop.queue.base}wake") == 1
    assert shop.start_all() == ["low"]


def test_low_roots_are_fair_among_themselves(client: redis.Redis, clock: Clock) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("a", low=True, count=10)
    shop.submit("b", low=True, count=10)
    started = []
    for _ in range(10):
        started += shop.start_all()
        shop.end_all()
    assert sorted(started) == ["a"] * 5 + ["b"] * 5


# -- promotion ---------------------------------------------------------------------------------


def test_a_low_root_that_has_waited_for_too_long_is_a_normal_one(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("low", low=True, count=3)
    shop.submit("normal", count=200)
    clock.now += 3 * HOUR - 1
    assert shop.start_all() == ["normal"]
    shop.end_all(elapsed=1)
    started = []
    for _ in range(6):
        started += shop.start_all()
        shop.end_all()
    assert started.count("low") == 3, "a share as any other, until it has no more"


def test_what_comes_to_a_promoted_root_later_is_low_again(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1, longest=1_000)
    shop.submit("low", low=True)
    clock.now += 1_000
    shop.submit("normal", count=2)
    assert shop.start_all() == ["normal"]
    shop.submit("low", low=True)
    shop.end_all()
    assert [*shop.start_all(), len(shop.running)] == ["low", 1]
    shop.end_all()
    assert shop.start_all() == ["normal"]
    shop.end_all()
    assert shop.start() is None, "the second one waits for the calm"


def test_without_a_longest_wait_it_stays_low(client: redis.Redis, clock: Clock) -> None:
    shop = floor(client, clock, slots=1, longest=None)
    shop.submit("low", low=True)
    shop.submit("normal", count=2)
    clock.now += 1_000 * HOUR
    assert shop.start_all() == ["normal"]
    shop.end_all()
    assert shop.start_all() == ["normal"]


# -- moved, held, marked -----------------------------------------------------------------------


def test_a_waiting_root_moves_whole_between_the_classes(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("big", count=1_000)
    costs = []
    for low in (True, False, True):  # others may use this server, too
        before = calls(client)
        assert shop.queue.move("big", low=low) == 0
        costs.append(calls(client) - before)
    assert min(costs) < 40, "however many messages"
    shop.submit("other")
    assert shop.start_all() == ["other"]
    assert shop.queue.move("big", low=False) == 0
    shop.end_all()
    assert shop.start_all() == ["big"]
    assert shop.queue.size() == 999


def test_a_root_of_both_classes_that_becomes_normal_runs_its_low_jobs_last(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("root", low=True, count=2)
    shop.submit("root", count=2)
    assert shop.queue.move("root", low=False) == 0
    started = []
    for _ in range(4):
        shop.start_all()
        started += shop.running
        shop.end_all()
    assert started == ["root-3", "root-4", "root-1", "root-2"]


def test_a_held_root_costs_no_delivery_and_keeps_its_order(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("held", count=3)
    assert shop.queue.hold("held") == 3
    shop.submit("held")
    assert shop.start() is None
    assert (shop.queue.size(), shop.queue.held_roots()) == (4, ["held"])
    assert shop.queue.release("held") == 4
    started = []
    for _ in range(4):
        shop.start_all()
        started += shop.running
        shop.end_all()
    assert started == [f"held-{number}" for number in (1, 2, 3, 4)]


def test_what_is_marked_is_dropped_or_moved_when_it_is_next(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("root", count=4)
    assert shop.queue.mark("root", {"root-1": 0, "root-2": "low", "root-4": 0})
    assert (shop.start_all(), [*shop.running]) == (["root"], ["root-3"])
    shop.end_all()
    assert (shop.start_all(), [*shop.running]) == (["root"], ["root-2"])
    assert shop.queue.size() == 0


def test_a_later_dispatch_of_a_dropped_job_is_not_dropped(
    client: redis.Redis, clock: Clock
) -> None:
    shop = floor(client, clock, slots=1)
    shop.submit("root")
    shop.queue.mark("root", {"again": 2})
    for number, dispatch in ((7, 2), (8, 3)):
        payload = {"task": "t", "id": "again", "jobmonitor": {"dispatch": dispatch}}
        shop.queue.publish(
            json.dumps(payload), id=str(number), producer="q", number=number, root="root"
        )
    started = []
    for _ in range(3):
        shop.start_all()
        started += shop.running
        shop.end_all()
    assert started == ["root-1", "again"]


def calls(client: redis.Redis) -> int:
    """How many commands a server has run so far, those inside scripts included."""
    stats = client.info("commandstats")
    return sum(int(entry["calls"]) for entry in stats.values())  # type: ignore[union-attr]


# -- a worker ----------------------------------------------------------------------------------


def test_a_worker_starts_low_jobs_once_normal_ones_no_longer_wait(
    broker_url: str, tmp_path: Path
) -> None:
    options = QUICK | {"low_calm": 1.0}
    with World(broker_url, tmp_path, options) as world:
        for number in range(3):
            world.publish("nap", f"low-{number}", queue="calm", priority=9)
        normal = [f"normal-{number}" for number in range(12)]
        for name in normal:
            world.publish("nap", name, 0.2, queue="calm")
        world.start("calm", concurrency=2, DISABLE_PREFETCH="1")
        world.has_ended(*normal)
        assert not any(world.runs(f"low-{number}") for number in range(3))
        world.check("calm", once=(*normal, "low-0", "low-1", "low-2"))


def test_a_worker_runs_a_low_job_that_has_waited_for_too_long_among_normal_ones(
    broker_url: str, tmp_path: Path
) -> None:
    options = QUICK | {"low_longest_wait": 1.0}
    with World(broker_url, tmp_path, options) as world:
        world.publish("nap", "low", queue="busy", priority=9)
        normal = [f"normal-{number}" for number in range(40)]
        for name in normal:
            world.publish("nap", name, 0.1, queue="busy", headers={"root_id": "one"})
        world.start("busy", concurrency=1)
        world.has_ended("low")
        ended = sum(bool(world.runs(name)) for name in normal)
        assert ended < 40, "before the backlog was gone"
        eventually(lambda: all(world.runs(name, "end") for name in normal), within=60)
