"""W18: two apps on one Redis, apart by their prefixes though their queue has the same name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import ChannelError

from tests.transport.world import World
from tests.waiting import eventually


@pytest.fixture
def apps(broker_url: str, tmp_path: Path) -> Iterator[tuple[World, World]]:
    """Two worlds on one database."""
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(
                World(broker_url, _made(tmp_path / name), {"global_keyprefix": f"{name}:"})
            )
            for name in ("one", "other")
        )
        yield one, other


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def purge(app: Celery, queue: str) -> int:
    with app.connection_for_write() as connection:
        return int(connection.default_channel.queue_purge(queue))


def waiting(app: Celery, queue: str) -> int:
    with app.connection_for_write() as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True)[1])


def test_two_apps_with_one_queue_name_run_count_and_purge_only_their_own(
    apps: tuple[World, World],
) -> None:
    one, other = apps
    worker = one.start("jobs", concurrency=1)
    for name in ("first", "second"):
        other.publish("nap", f"other-{name}", queue="jobs")
        one.publish("nap", f"one-{name}", queue="jobs")
    one.check("jobs", once=("one-first", "one-second"))
    ours, theirs = (world.publisher(world.broker_url) for world in apps)
    assert (waiting(ours, "jobs"), waiting(theirs, "jobs")) == (0, 2)
    assert (purge(ours, "jobs"), waiting(theirs, "jobs")) == (0, 2)
    with pytest.raises(ChannelError, match="NOT_FOUND"):
        waiting(ours, "never-declared")
    one.publish("hold", "held", queue="jobs")
    one.has_begun("held")
    one.publish("nap", "purged", queue="jobs")
    assert (purge(theirs, "jobs"), waiting(ours, "jobs")) == (2, 1)
    assert (purge(ours, "jobs"), waiting(ours, "jobs")) == (1, 0)
    one.release("held")
    one.check("jobs", once=("held",))
    assert other.start("jobs", concurrency=1).stop() == 0
    assert not any(other.runs(f"other-{name}") for name in ("first", "second"))
    assert worker.stop() == 0
    eventually(lambda: not one.leases("jobs"), says="nothing is leased")
