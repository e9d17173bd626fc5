"""A Redis user that may only do what the README says, on the keys of its prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from tests.brokers import fair
from tests.transport.nodes import Node, started
from tests.transport.world import APP, World
from tests.workers import REPOSITORY


def rule() -> list[str]:
    """What the README says that this user may do."""
    text = (REPOSITORY / "README.md").read_text()
    _, _, rest = text.partition("ACL SETUSER shop ")
    return rest.partition("```")[0].split()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A server that counts what it has refused to this user."""
    with started(Node(tmp_path_factory.mktemp("redis") / "server")) as (node,):
        node.client.execute_command("ACL", "SETUSER", "shop", *rule())
        yield node


@pytest.fixture
def limited(server: Node) -> str:
    """The broker URL of the limited user."""
    return fair(server.url).replace("//", "//shop:secret@", 1)


@pytest.fixture
def client(server: Node) -> Iterator[redis.Redis]:
    """One that may do everything."""
    server.client.execute_command("ACL", "LOG", "RESET")
    with redis.Redis.from_url(server.url) as client:
        yield client


def refused(client: redis.Redis) -> set[str]:
    """What this user was refused, but for what redis-py says of itself when it connects."""
    return {str(entry["object"]) for entry in client.acl_log()} - {"client|setinfo"}


def talk_beside(app: Celery) -> None:
    """Events as gossip hears them, remote control, a batch, and a queue that is not fair."""
    with app.connection_for_read() as connection:
        heard = app.events.Receiver(connection, {"*": lambda event: None}, "worker.#")
        with suppress(StopIteration):
            heard.capture(limit=1, timeout=20)
        assert app.control.inspect(timeout=5).ping()
        with app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=2):
            for name in ("batch-1", "batch-2"):
                app.send_task(f"{APP}.nap", (name,), queue="jobs", producer=producer)
        with connection.SimpleQueue("shop.pidbox") as simple:
            simple.put("hello")
            simple.get(timeout=20).requeue()
            simple.get(timeout=20).ack()
        connection.default_channel.queue_declare("jobs", passive=True)
        connection.default_channel.queue_purge("unused")
        connection.default_channel.queue_delete("unused")


def test_producers_and_workers_need_no_more_than_the_readme_says(
    limited: str, client: redis.Redis, tmp_path: Path
) -> None:
    with World(limited, tmp_path, {"global_keyprefix": "shop:"}, client) as world:
        worker = world.start("jobs,other", concurrency=1, options=("-E",))
        world.serves("jobs", "first")
        world.publish("hold", "held", queue="jobs")
        world.has_begun("held")
        world.publish("nap", "due", queue="jobs", countdown=1)
        world.publish("nap", "low", queue="jobs", priority=9)
        talk_beside(world.publisher(limited))
        world.leave(worker, "other")
        world.take_over(worker, "other")
        world.release("held")
        world.check("jobs", once=("first", "held", "due", "low", "batch-1", "batch-2"))
        assert worker.stop() == 0
    assert refused(client) == set()


def test_keys_of_others_are_refused_in_a_sentence_that_says_whose_and_what(
    limited: str, client: redis.Redis, tmp_path: Path
) -> None:
    with World(limited, tmp_path, {"global_keyprefix": "not-mine:"}, client) as world:
        with pytest.raises(OperationalError, match="the Redis user shop may not do this"):
            world.publish("nap", "refused", queue="jobs")
        worker = world.worker("jobs", concurrency=1).start(wait=False)
        assert worker.wait(30) == 1
        assert "the Redis user shop may not do this" in worker.log
        assert "global_keyprefix" in worker.log
    assert not list(client.scan_iter("not-mine:*"))
