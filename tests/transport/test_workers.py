"""A plain worker on the fair transport: what it takes at once, and its shutdowns."""

from __future__ import annotations

import os
import signal

import pytest

from jobmonitor.transport.scripts import script
from tests.transport.world import World
from tests.waiting import eventually


def is_held(world: World, queue: str, count: int) -> None:
    """Wait until so much is leased, and see that it stays so."""
    eventually(
        lambda: sum(world.leases(queue).values()) == count,
        within=20, says=f"{count} of {queue} are leased",
    )  # fmt: skip
    world.beats(queue, 2)
    assert sum(world.leases(queue).values()) == count


def capacity_is(world: World, queue: str, count: int) -> None:
    """Wait until the workers of a queue say that they run so much at once."""
    eventually(
        lambda: int(world.redis.hget(world.key(queue, "meta"), "capacity") or 0) == count,
        within=20, says=f"{count} slots serve {queue}",
    )  # fmt: skip


@pytest.mark.parametrize(("disabled", "taken"), [("", 4), ("1", 2)])
def test_a_worker_takes_what_its_prefetch_allows_and_without_prefetch_what_it_runs(
    world: World, disabled: str, taken: int
) -> None:
    queue = f"prefetch-{taken}"
    names = tuple(f"{queue}-{number}" for number in range(6))
    for name in names:
        world.publish("hold", name, queue=queue, root_id=name)
    worker = world.start(queue, concurrency=2, PREFETCH=2, DISABLE_PREFETCH=disabled)
    is_held(world, queue, taken)
    capacity_is(world, queue, 4)  # without jobmonitor the prefetch is all that is known
    for name in names:
        world.release(name)
    world.check(queue, once=names)
    assert worker.stop() == 0
    capacity_is(world, queue, 0)


def test_a_lease_ends_in_the_same_write_as_the_next_take_while_more_waits(world: World) -> None:
    for number in range(100):
        world.publish("nap", f"same-{number}", 0.0, queue="same")
    verbs = {script(verb).name: verb for verb in ("take", "ack")}
    asked_by: dict[str, list[str]] = {"take": [], "ack": []}
    with world.redis.monitor() as heard:
        world.start("same", concurrency=2)
        while len(asked_by["ack"]) < 100:
            said = heard.next_command()
            words = said["command"].split()
            if words[0] == "FCALL" and words[1] in verbs and words[3] == world.key("same", ""):
                asked_by[verbs[words[1]]].append(said["client_port"])
    takes = set(asked_by["take"])
    assert sum(port in takes for port in asked_by["ack"]) > 95


def test_a_queue_that_a_worker_is_told_to_leave_and_to_take_again(world: World) -> None:
    worker = world.start("stays,leaves", concurrency=1)
    world.serves("leaves", "before")
    world.leave(worker, "leaves")
    world.publish("nap", "meanwhile", queue="leaves")
    world.serves("stays", "beside")
    assert not world.runs("meanwhile")
    world.take_over(worker, "leaves")
    world.check("leaves", once=("before", "meanwhile"))


def test_the_slots_of_a_worker_that_was_killed_are_counted_no_more(world: World) -> None:
    killed = world.start("slots", concurrency=2)
    other = world.start("slots", concurrency=3)
    capacity_is(world, "slots", 5)
    killed.kill()
    capacity_is(world, "slots", 3)
    assert other.stop() == 0
    capacity_is(world, "slots", 0)


def test_a_warm_shutdown_waits_for_what_runs_and_loses_nothing_it_received(
    world: World,
) -> None:
    names = ("warm-runs", "warm-received", "warm-waits")
    for name in names:
        world.publish("hold", name, queue="warm", root_id="warm")
    first = world.start("warm", concurrency=1, PREFETCH=2)
    is_held(world, "warm", 2)
    first.signal(signal.SIGTERM)
    world.start("warm", concurrency=1)
    world.has_begun("warm-waits")
    world.beats("warm", world.options["lost_after"] + 1)
    assert (world.runs("warm-runs", "end"), world.runs("warm-received")) == ([], [])
    for name in names:
        world.release(name)
    assert first.wait(20) == 0
    world.check("warm", once=names)


@pytest.mark.parametrize("soft", ["", "2"], ids=["cold", "soft"])
def test_a_shutdown_that_ends_jobs_gives_them_back_once_they_do_not_run(
    world: World, soft: str
) -> None:
    queue = f"ended-{soft}"
    running, received = f"{queue}-running", f"{queue}-received"
    for name in (running, received):
        world.publish("hold", name, queue=queue, root_id=queue)
    more = {"SOFT_SHUTDOWN": soft} if soft else {}
    first = world.start(queue, concurrency=1, PREFETCH=2, **more)
    is_held(world, queue, 2)
    (child,) = first.children
    first.signal(signal.SIGQUIT)
    first.wait(30)
    world.start(queue, concurrency=1)
    world.has_begun(running, times=2)
    assert world.runs(running)[0] == child
    assert not world.runs(received)  # it was behind, and it still is
    world.release(running)
    world.release(received)
    world.check(queue, once=(received,), more=(running,))
    assert len(world.runs(running)) == 2


def test_a_soft_shutdown_lets_a_job_end_that_needs_no_longer(world: World) -> None:
    world.publish("hold", "short", queue="short")
    first = world.start("short", concurrency=1, SOFT_SHUTDOWN=7)
    world.has_begun("short")
    first.signal(signal.SIGQUIT)
    world.beats("short", world.options["lost_after"] + 1)
    world.release("short")
    first.wait(30)
    world.start("short", concurrency=1)
    world.check("short", once=("short",))


def test_a_job_that_was_handed_to_a_process_when_the_connection_broke_runs_once(
    world: World,
) -> None:
    """Celery forgets it: the process has not told to have begun. It begins all the same."""
    worker = world.start("handed", concurrency=1)
    (child,) = worker.children
    os.kill(child, signal.SIGSTOP)
    world.publish("nap", "handed", queue="handed")
    is_held(world, "handed", 1)
    world.redis.client_kill_filter(_type="normal", skipme=True)
    world.redis.client_kill_filter(_type="pubsub")
    eventually(lambda: "Connection to broker lost" in worker.log, says="it has noticed")
    world.start("handed", concurrency=1)
    world.beats("handed", world.options["lost_after"])
    assert world.runs("handed") == []
    os.kill(child, signal.SIGCONT)
    world.check("handed", once=("handed",))
    assert world.runs("handed") == [child]
    world.serves("handed", "handed-next")
