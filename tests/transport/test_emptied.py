"""W8: a Redis that lost all it had. What waited is lost with it, what runs goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.brokers import fair
from tests.transport.nodes import Node, started
from tests.transport.world import World


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Node]:
    """A server that keeps nothing on disk."""
    with started(Node(tmp_path / "redis")) as (node,):
        yield node


@pytest.fixture
def world(server: Node, tmp_path: Path) -> Iterator[World]:
    client = redis.Redis.from_url(server.url)
    with World(fair(server.url), tmp_path, client=client) as made:
        yield made


def flush(server: Node) -> None:
    server.client.flushall()


def restart(server: Node) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("empty", [flush, restart])
def test_what_runs_goes_on_and_new_work_is_taken_but_what_waited_is_lost(
    world: World, server: Node, empty: Callable[[Node], None]
) -> None:
    worker = world.start("jobs", concurrency=2)
    for name in ("runs", "ends"):
        world.publish("hold", name, queue="jobs")
        world.has_begun(name)
    for name in ("lost-1", "lost-2"):
        world.publish("nap", name, queue="jobs")
    empty(server)
    world.release("ends")
    world.serves("jobs", "published-after")
    world.beats("jobs", world.options["lost_after"])
    world.release("runs")
    world.check("jobs", once=("runs", "ends", "published-after"))
    assert (world.runs("lost-1"), world.runs("lost-2")) == ([], [])
    assert worker.alive


def test_the_end_of_what_ran_before_does_not_end_the_lease_of_what_came_after(
    server: Node, tmp_path: Path
) -> None:
    """The emptied server numbers its leases anew: none of them may be one that is still out."""
    slowly = {"beat_every": 3, "lost_after": 9}
    with World(fair(server.url), tmp_path, slowly, redis.Redis.from_url(server.url)) as world:
        worker = world.start("jobs", concurrency=2)
        world.beats("jobs", 0.1)  # so that there is none between what follows
        world.publish("hold", "before", queue="jobs")
        world.has_begun("before")
        server.client.flushall()
        world.publish("hold", "after", queue="jobs")
        world.has_begun("after")
        world.release("before")
        world.has_ended("before")
        world.beats("jobs", 1)
        assert sum(world.leases("jobs").values()) == 1
        worker.kill()
        world.start("jobs", concurrency=1)
        world.has_begun("after", times=2)
        world.release("after")
        world.check("jobs", more=("after",))
