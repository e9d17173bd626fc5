"""A Redis whose log finds no more room refuses; what runs goes on, and nothing is lost."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError

from tests.brokers import fair
from tests.transport.nodes import Node, started
from tests.transport.world import World
from tests.waiting import eventually


@contextmanager
def full(server: Node) -> Iterator[None]:
    """As on a full disk: no file of the server may grow."""
    limit, most = resource.RLIMIT_FSIZE, resource.RLIM_INFINITY
    resource.prlimit(server.pid, limit, (1, most))
    eventually(lambda: not is_logged(server), within=20, says="the log has failed")
    yield
    resource.prlimit(server.pid, limit, (most, most))
    eventually(lambda: is_logged(server), within=20, says="the log is written again")


def is_logged(server: Node) -> bool:
    return bool(server.client.info("persistence")["aof_last_write_status"] == "ok")


def test_a_full_disk_makes_nothing_run_twice_and_loses_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path / "redis", "appendonly yes", "appendfsync everysec")
    with (
        started(node),
        World(fair(node.url), tmp_path, client=redis.Redis.from_url(node.url)) as world,
    ):
        worker = world.start("jobs", concurrency=2)
        for name in ("ends", "held"):
            world.publish("hold", name, queue="jobs")
            world.has_begun(name)
        world.publish("nap", "due", queue="jobs", countdown=2)
        with full(node):
            with pytest.raises(OperationalError, match="MISCONF"):
                world.publish("nap", "refused", queue="jobs", retry=False)
            world.release("ends")
            world.has_ended("ends")
        world.serves("jobs", "after")
        world.beats("jobs", world.options["lost_after"])
        node.kill()
        node.start()  # what it had answered is in its log
        world.beats("jobs", world.options["lost_after"])
        world.release("held")
        world.check("jobs", once=("ends", "held", "due", "after"))
        assert not world.runs("refused")
        assert worker.alive
