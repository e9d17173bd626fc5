"""A cluster of one node: a queue is in one slot, and with a prefix that is a tag an app is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue
from tests.brokers import fair
from tests.transport.nodes import Node, started
from tests.transport.world import World
from tests.waiting import eventually


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that has all slots."""
    directory = tmp_path_factory.mktemp("redis") / "server"
    with started(Node(directory, "cluster-enabled yes")) as (node,):
        node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        eventually(
            lambda: node.client.cluster("INFO")["cluster_state"] == "ok",
            within=20, says="the cluster is well",
        )  # fmt: skip
        yield node


def test_every_verb_stays_in_the_slot_of_its_queue(server: Node) -> None:
    queue = FairQueue(server.client, "verbs")
    for number, root in enumerate(("a", "b", "c"), 1):
        assert queue.publish('{"task": "t"}', id=root, producer="p", number=number, root=root)
    queue.beat("one", [], slots=4)
    taken, _ = queue.take("one", 1)
    assert taken is not None
    queue.refresh("one", [(taken.lease, 1_000)])
    assert queue.ack("one", taken.lease, 10, root=taken.root, low=False)
    queue.hold("b")
    queue.move("c", low=True)
    queue.mark("b", {"job": 1})
    assert queue.release("b") == 1
    assert queue.size() == queue.purge() == 2
    slots = {server.client.cluster("KEYSLOT", key) for key in server.client.keys("*{verbs}*")}
    assert len(slots) == 1
    queue.delete()


def test_a_worker_serves_queues_whose_prefix_is_a_hash_tag(
    server: Node, tmp_path: Path
) -> None:
    client, options = redis.Redis.from_url(server.url), {"global_keyprefix": "{shop}:"}
    client.flushall()
    with World(fair(server.url), tmp_path, options, client) as world:
        worker = world.start("jobs,other", concurrency=1)
        world.serves("other", "beside")
        world.serves("jobs", "first")
        world.publish("hold", "held", queue="jobs")
        world.has_begun("held")
        world.publish("nap", "due", queue="jobs", countdown=1)
        world.beats("jobs", world.options["lost_after"])
        world.release("held")
        world.check("jobs", once=("first", "held", "due"))
        assert worker.stop() == 0
    assert {server.client.cluster("KEYSLOT", key) for key in client.scan_iter()} == {
        server.client.cluster("KEYSLOT", "{shop}")
    }


def test_without_such_a_prefix_a_worker_ends_and_says_why(server: Node, tmp_path: Path) -> None:
    client = redis.Redis.from_url(server.url)
    with World(fair(server.url), tmp_path, client=client) as world:
        worker = world.worker("jobs", concurrency=1).start(wait=False)
        assert worker.wait(30) == 1
        assert "Keys in request don't hash to the same slot" in worker.log
