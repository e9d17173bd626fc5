"""A master fails over while a job runs: workers go on with the next, and nothing runs twice.

A master, two replicas and three sentinels. Stock Celery ends with exit code 1 where the master
was killed, and starts the running job a second time after a graceful fail-over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from redis.sentinel import MasterNotFoundError, Sentinel

from jobmonitor.embedded.process import HOST
from tests.transport.nodes import Node, started
from tests.transport.world import World
from tests.waiting import eventually

NAME = "main"
#: without replicas a master refuses: else one that was demoted takes writes until it hears so
SAFE = ("min-replicas-to-write 1", "min-replicas-max-lag 2", "repl-diskless-sync-delay 0")


@dataclass(frozen=True, slots=True)
class Watched:
    """Three servers, the first as master, and what watches them."""

    servers: tuple[Node, ...]
    sentinels: tuple[Node, ...]
    asked: Sentinel

    def master(self) -> int | None:
        """The port of the master that the sentinels name."""
        try:
            return int(self.asked.discover_master(NAME)[1])
        except MasterNotFoundError:
            return None

    def is_replicated(self) -> bool:
        """Whether all that was written is on the replicas."""
        return bool(self.asked.master_for(NAME).wait(2, 5_000))


def sentinel(directory: Path, master: Node) -> Node:
    return Node(
        directory, f"sentinel monitor {NAME} {HOST} {master.port} 2",
        f"sentinel down-after-milliseconds {NAME} 1000",
        f"sentinel failover-timeout {NAME} 4000", mode="--sentinel",
    )  # fmt: skip


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A master and two replicas that the sentinels know and would promote."""
    master = Node(tmp_path / "master", *SAFE)
    follows = f"replicaof {HOST} {master.port}"
    replicas = [Node(tmp_path / f"replica-{n}", *SAFE, follows) for n in range(2)]
    sentinels = tuple(sentinel(tmp_path / f"sentinel-{n}", master) for n in range(3))
    with started(master, *replicas, *sentinels):
        asked = Sentinel([(HOST, one.port) for one in sentinels], socket_timeout=2)
        eventually(lambda: all(map(knows_all, sentinels)), within=30, says="they know all")
        yield Watched((master, *replicas), sentinels, asked)


def knows_all(sentinel: Node) -> bool:
    state = sentinel.client.sentinel_master(NAME)
    return (state["num-slaves"], state["num-other-sentinels"]) == (2, 2)


@pytest.fixture
def world(watched: Watched, tmp_path: Path) -> Iterator[World]:
    urls = ";".join(f"fair-sentinel://{HOST}:{one.port}/0" for one in watched.sentinels)
    client = watched.asked.master_for(NAME)
    with World(urls, tmp_path, {"master_name": NAME}, client) as made:
        yield made


def fail_over(world: World, watched: Watched) -> None:
    watched.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", NAME)
    eventually(lambda: is_replica(watched.servers[0]), within=30, says="it has heard of it")


def is_replica(node: Node) -> bool:
    try:
        return bool(node.client.role()[0] == "slave")
    except redis.ConnectionError:  # it ends its connections
        return False


def crash(world: World, watched: Watched) -> None:
    """A job ends while there is no master: its ack is owed to the next one."""
    watched.servers[0].kill()
    world.release("ends-meanwhile")
    world.has_ended("ends-meanwhile")


@pytest.mark.parametrize("falls", [fail_over, crash], ids=["graceful", "crash"])
def test_w23_workers_go_on_with_the_next_master_and_nothing_runs_twice(
    world: World, watched: Watched, falls: Callable[[World, Watched], None]
) -> None:
    both = [world.worker("jobs", concurrency=1, DISABLE_PREFETCH=1) for _ in range(2)]
    world.start_all(*both)
    names = ("ends-meanwhile", "goes-on", "waits")
    for name in names:
        world.publish("hold", name, queue="jobs", root_id=name)
    for name in names[:2]:
        world.has_begun(name)
    world.publish("nap", "due", queue="jobs", countdown=3)
    first = watched.master()
    assert watched.is_replicated()
    falls(world, watched)
    eventually(lambda: watched.master() not in (None, first), within=30, says="failed over")
    eventually(lambda: takes_writes(world), within=30, says="the next one takes writes")
    for name in ("ends-meanwhile", "waits"):
        world.release(name)
    world.has_ended("ends-meanwhile", "waits", "due")
    world.serves("jobs", "published-after")
    world.beats("jobs", world.options["lost_after"] + 1)
    assert sum(world.leases("jobs").values()) == 1
    world.release("goes-on")
    world.check("jobs", once=(*names, "due", "published-after"))
    assert [worker.alive for worker in both] == [True, True]


def takes_writes(world: World) -> bool:
    try:
        return bool(world.redis.set("written", 1, px=1))
    except redis.RedisError:
        return False
