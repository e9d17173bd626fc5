"""Pools that grow, shrink and change their processes, on the fair transport."""

from __future__ import annotations

from tests.transport.test_workers import capacity_is
from tests.transport.world import World
from tests.waiting import eventually


def test_a_pool_that_scales_runs_everything_once_in_as_many_slots_as_it_may_have(
    world: World,
) -> None:
    names = tuple(f"scales-{number}" for number in range(10))
    worker = world.start(
        "scales", concurrency=1, options=("--autoscale=4,1",), AUTOSCALE_KEEPALIVE=1
    )
    for name in names:
        world.publish("hold", name, queue="scales", root_id=name)
    for name in names[:4]:
        world.has_begun(name)
    capacity_is(world, "scales", 4)
    world.beats("scales", 2)
    assert (len(worker.children), sum(world.leases("scales").values())) == (4, 4)
    for name in names:
        world.release(name)
    world.check("scales", once=names)
    eventually(lambda: len(worker.children) == 1, within=40, says="the pool has shrunk")
    world.serves("scales", "scales-after")
    world.check("scales", once=("scales-after",))
    assert worker.stop() == 0
    capacity_is(world, "scales", 0)


def test_slots_follow_a_pool_that_is_told_to_grow_and_to_shrink(world: World) -> None:
    worker = world.start("grows", concurrency=1)
    capacity_is(world, "grows", 1)
    world.grow(worker, 2)
    capacity_is(world, "grows", 3)
    names = tuple(f"grows-{number}" for number in range(4))
    for name in names:
        world.publish("hold", name, queue="grows", root_id=name)
    for name in names[:3]:
        world.has_begun(name)
    for name in names:
        world.release(name)
    world.check("grows", once=names)
    world.shrink(worker)
    capacity_is(world, "grows", 2)


def test_processes_that_end_after_two_jobs_cost_no_job_and_no_slot(world: World) -> None:
    names = tuple(f"changes-{number}" for number in range(21))
    worker = world.start("changes", concurrency=2, options=("--max-tasks-per-child=2",))
    first = worker.children
    for name in names:
        world.publish("nap", name, queue="changes", root_id="root")
    world.check("changes", once=names)
    ran = {pid for name in names for pid in world.runs(name)}
    assert len(ran) >= len(names) / 2
    assert max(sum(pid in world.runs(name) for name in names) for pid in ran) <= 2
    assert not set(first) & set(worker.children)
    capacity_is(world, "changes", 2)
