"""The oldest Redis that is promised, and Valkey: the verbs do the same on both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobmonitor.embedded.binaries import find_redis
from jobmonitor.transport.fair_queue import FairQueue, Taken
from jobmonitor.transport.gate import LowGate
from tests.brokers import fair
from tests.transport.nodes import Node, started
from tests.transport.world import World


@pytest.fixture(scope="module", params=["valkey-server", "redis-server"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """What is installed with the package, or is found in the PATH."""
    found = shutil.which(request.param)
    if found is None and request.param == "redis-server":
        pytest.skip("no redis-server in the PATH: apt-get install redis-server")
    program = Path(found) if found else find_redis(None)
    directory = tmp_path_factory.mktemp("redis") / "server"
    with started(Node(directory, program=program)) as (node,):
        node.client.flushall()
        yield node


@pytest.fixture
def queue(server: Node, request: pytest.FixtureRequest) -> FairQueue:
    return FairQueue(
        server.client, request.node.name, gate=LowGate(reserve=1, calm=0), clock=lambda: 1e12
    )


def put(queue: FairQueue, number: int, root: str, *, low: bool = False) -> None:
    payload = f'{{"id": "job-{number}", "task": "t"}}'
    queue.publish(
        payload, id=str(number), producer="p", number=number, root=root, low=low
    )  # fmt: skip


def take(queue: FairQueue, request: int) -> Taken:
    taken, _ = queue.take("one", request)
    assert taken is not None
    return taken


def test_roots_take_turns_and_a_repeated_request_returns_the_same_lease(
    queue: FairQueue,
) -> None:
    for number, root in enumerate(("many", "many", "one"), 1):
        put(queue, number, root)
    first = take(queue, 1)
    assert first.root == "many"
    second = take(queue, 2)
    assert (second.root, take(queue, 2)) == ("one", second)
    assert queue.ack("one", second.lease, 5.0, root="one", low=False)
    assert not queue.ack("one", second.lease, 5.0, root="one", low=False)
    assert queue.requeue("one", first.lease, 5.0)
    assert (take(queue, 3).deliveries, queue.size()) == (1, 1)


def test_a_beat_gives_back_what_its_consumer_does_not_hold(queue: FairQueue) -> None:
    put(queue, 1, "root")
    lease = take(queue, 1).lease
    assert queue.beat("one", [lease, lease + 1]) == [lease + 1]
    for _ in range(2):
        assert queue.beat("one", []) == []
    assert (take(queue, 2).deliveries, queue.capacity()) == (1, 1)


def test_low_roots_wait_for_free_slots_and_move_to_the_other_class(queue: FairQueue) -> None:
    put(queue, 1, "low", low=True)
    put(queue, 2, "moved")
    assert queue.move("moved", low=True) == 0
    queue.beat("one", [], slots=2)
    lease = take(queue, 1).lease
    assert queue.take("one", 2)[0] is None
    assert queue.move("moved", low=False) == 0
    assert take(queue, 3).root == "moved"
    assert queue.ack("one", lease, 1.0, root="low", low=True)


def test_what_is_held_marked_or_due_later_is_not_taken(queue: FairQueue) -> None:
    put(queue, 1, "held")
    put(queue, 2, "marked")
    queue.publish("{}", id="3", producer="p", number=3, root="due", due=1e12 + 5)
    assert queue.hold("held") == 1
    assert queue.mark("marked", {"job-2": 0})
    assert queue.take("one", 1) == (None, 5.0)
    assert queue.release("held") == 1
    assert take(queue, 2).root == "held"
    assert queue.purge() == 1


def test_a_worker_serves_a_queue(server: Node, tmp_path: Path) -> None:
    client = redis.Redis.from_url(server.url)
    with World(fair(server.url), tmp_path, client=client) as world:
        worker = world.start("jobs", concurrency=1)
        for name in ("one", "two"):
            world.publish("nap", name, queue="jobs")
        world.publish("nap", "low", queue="jobs", priority=9)
        world.check("jobs", once=("one", "two", "low"))
        assert worker.stop() == 0
