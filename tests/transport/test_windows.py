"""The windows W1 to W6 between Redis and a worker: stock Celery falls through, ours does not.

Each scenario is the same for both transports. On `redis://` the loss, the duplicate or the
stuck job is shown to happen; on `fair-redis://` every job runs, once, and soon.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.brokers import fair, redis_of
from tests.transport.world import World
from tests.waiting import eventually
from tests.workers import Worker

VISIBILITY = 2
IMPATIENT = {
    "visibility_timeout": VISIBILITY,
    "unacked_restore_interval": 0.5,
    "unacked_restore_throttle": 1,
}


@pytest.fixture(scope="module", params=["stock", "fair"])
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def world(
    transport: str, plain_broker_url: str, broker_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:  # fmt: skip
    url = plain_broker_url if transport == "stock" else broker_url
    with World(url, tmp_path_factory.mktemp(transport)) as made:
        yield made


@pytest.fixture(scope="module")
def other(world: World) -> Worker:
    """A worker that takes over a queue when it is told to."""
    return world.start("other", concurrency=2)


@pytest.fixture(scope="module")
def impatient(
    transport: str, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The same with a short visibility timeout, which the fair one has no use for."""
    redis_url, number = redis_of(world.broker_url).rsplit("/", 1)
    url = f"{redis_url}/{int(number) + 1}"
    url = url if transport == "stock" else fair(url)
    with World(url, tmp_path_factory.mktemp(f"{transport}-impatient"), IMPATIENT) as made:
        made.redis.flushdb()
        made.start("jobs", concurrency=4, PREFETCH=4)
        yield made


def blocked(world: World) -> int:
    """How many clients of the server wait for a message."""
    return int(world.redis.info("clients")["blocked_clients"])


def test_w1_a_message_on_its_way_to_a_worker_that_is_killed(
    transport: str, world: World, other: Worker
) -> None:
    others = blocked(world)
    worker = world.start("w1", concurrency=1)
    eventually(lambda: blocked(world) > others, every=0.005, says="this one waits, too")
    worker.signal(signal.SIGSTOP)
    world.publish("nap", "w1", queue="w1")
    if transport == "stock":
        eventually(lambda: world.redis.llen("w1") == 0, says="Redis has sent it")
    worker.kill()
    world.take_over(other, "w1")
    world.serves("w1", "w1-next")
    if transport == "stock":
        assert (world.runs("w1"), world.redis.llen("w1"), unacked(world, "w1'")) == ([], 0, 0)
    else:
        world.check("w1", once=("w1", "w1-next"))


def test_w1b_a_message_that_came_to_a_worker_without_credit(
    transport: str, world: World, other: Worker
) -> None:
    patient = json.dumps(world.options | {"polling_interval": 60})  # else its wait may just end
    worker = world.start("w1b", concurrency=2, TRANSPORT_OPTIONS=patient)
    world.publish("hold", "w1b-held", queue="w1b")
    world.has_begun("w1b-held")
    world.shrink(worker)
    eventually(lambda: len(worker.children) == 1, within=20, says="a process less")
    world.publish("nap", "w1b", queue="w1b")
    if transport == "stock":
        eventually(lambda: world.redis.llen("w1b") == 0, says="Redis has sent it")
    worker.kill()
    world.release("w1b-held")
    world.take_over(other, "w1b")
    world.serves("w1b", "w1b-next")
    if transport == "stock":
        assert (world.runs("w1b"), world.redis.llen("w1b"), unacked(world, "w1b'")) == (
            [],
            0,
            0,
        )
    else:
        world.check("w1b", once=("w1b", "w1b-next"), more=("w1b-held",))


def test_w2_and_w3_a_job_that_runs_longer_than_the_visibility_timeout(
    transport: str, impatient: World
) -> None:
    impatient.publish("hold", "w2", queue="jobs")
    if transport == "fair":
        impatient.has_begun("w2")
        impatient.beats("jobs", 2 * VISIBILITY)
        assert list(impatient.leases("jobs").values()) == [1]
        impatient.release("w2")
        impatient.check("jobs", once=("w2",))
        return
    first, _ = impatient.has_begun("w2", times=2)[:2]
    impatient.release(first)
    impatient.has_ended("w2")
    # W3: the first run's ack has removed what protects the second, which still runs
    eventually(lambda: unacked(impatient, "w2") == 0, says="the late ack counts for both")
    assert len(impatient.runs("w2", "end")) < len(impatient.runs("w2"))
    impatient.release("w2")


def test_w4_a_countdown_longer_than_the_visibility_timeout(
    transport: str, impatient: World
) -> None:
    impatient.publish("nap", "w4", queue="jobs", countdown=VISIBILITY + 2)
    if transport == "stock":
        impatient.has_begun("w4", times=2)
        return
    assert impatient.redis.zcard(impatient.key("jobs", "due")) == 1
    assert impatient.leases("jobs") == {}
    impatient.has_ended("w4")
    impatient.beats("jobs", VISIBILITY)
    impatient.check("jobs", once=("w4",))


def test_w5_a_lost_connection_while_a_job_runs(
    transport: str, world: World, other: Worker
) -> None:
    world.publish("hold", "w5", queue="other")
    world.has_begun("w5")
    world.redis.client_kill_filter(_type="normal", skipme=True)
    world.redis.client_kill_filter(_type="pubsub")
    if transport == "stock":
        world.has_begun("w5", times=2)
        world.release("w5")
        return
    world.serves("other", "w5-next")
    world.beats("other", 4)
    world.release("w5")
    world.check("other", once=("w5", "w5-next"))


def test_w6_a_worker_that_is_killed_with_a_running_and_a_received_message(
    transport: str, world: World, other: Worker
) -> None:
    worker = world.start("w6", concurrency=1, PREFETCH=2)
    for name in ("w6-running", "w6-received", "w6-waiting"):
        world.publish("hold", name, queue="w6", root_id="root")
    world.has_begun("w6-running")
    eventually(lambda: held(world, transport) == 2, says="one runs and one is received")
    worker.kill()
    for name in ("w6-running", "w6-received", "w6-waiting"):
        world.release(name)
    world.take_over(other, "w6")
    world.has_ended("w6-waiting")
    if transport == "stock":
        eventually(lambda: held(world, transport) == 2, says="two are stuck, one is done")
        assert world.runs("w6-received") == []
    else:
        world.has_begun("w6-running", times=2)
        world.check("w6", once=("w6-received", "w6-waiting"), more=("w6-running",))


def held(world: World, transport: str) -> int:
    return unacked(world, "w6") if transport == "stock" else sum(world.leases("w6").values())


def unacked(world: World, name: str) -> int:
    """How many messages of such jobs stock Celery believes to be under way."""
    return sum(name in message.decode() for message in world.redis.hvals("unacked"))
