"""What producers push that know nothing of the fair order joins it, and none of it is lost.

They have a plain `redis://` URL, as an app has whose workers were upgraded first: its messages
go to kombu's own lists, one for each step of its priorities.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from kombu import Exchange, Queue

from jobmonitor.transport import adoption
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.gate import ALWAYS_OPEN
from tests.brokers import redis_of
from tests.transport.conversation import Conversation, size, take, take_all
from tests.transport.world import World


@pytest.fixture
def stock_talk(broker_url: str) -> Iterator[Conversation]:
    """kombu on its own transport, on the same Redis."""
    conversation = Conversation(redis_of(broker_url))
    yield conversation
    conversation.close()


@pytest.fixture
def queue() -> Queue:
    name = f"old-{uuid.uuid4().hex[:8]}"
    return Queue(name, Exchange(name, "direct"), name)


# -- one message after the other ---------------------------------------------------------------


def test_messages_of_a_plain_producer_are_taken_in_fair_order(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    stock_talk.say(queue, "a1", "a2", root="a")
    stock_talk.say(queue, "b1", root="b")
    assert size(fair_talk, queue) == 3
    assert take_all(fair_talk, queue) == ["a1", "b1", "a2"]
    assert fair_talk.redis.exists(queue.name) == 0


def test_priorities_order_within_a_root_and_the_last_is_the_low_class(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    for priority in (9, 6, 3, 0):
        stock_talk.say(queue, f"p{priority}", root="a", priority=priority)
    stock_talk.say(queue, "other", root="b", priority=6)
    assert adopt(fair_talk, queue) == 5
    waiting = fair_talk.redis.hmget(f"{fair_talk.base(queue)}meta", "waiting", "low:waiting")
    assert [int(count) for count in waiting] == [4, 1]
    bodies = take_all(fair_talk, queue)
    assert [body for body in bodies if body != "other"] == ["p0", "p3", "p6", "p9"]
    assert bodies[1] == "other"


def test_what_is_due_later_waits_among_what_is_due(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    eta = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    stock_talk.say(queue, "later", headers={"eta": eta})
    assert take(fair_talk, queue) is None
    assert fair_talk.redis.zcard(f"{fair_talk.base(queue)}due") == 1


def test_what_a_plain_worker_left_behind_joins_at_the_front_of_its_root(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    """Its visibility timeout is over, which a worker of the fair order has as well."""
    stock_talk.say(queue, "first", "second", root="a")
    assert take(stock_talk, queue) is not None
    tags = stock_talk.redis.zrange("unacked_index", 0, -1)
    stock_talk.redis.zadd("unacked_index", dict.fromkeys(tags, 1.0))
    channel = fair_talk.channel
    channel.qos.restore_visible(num=100, interval=1)
    assert stock_talk.redis.zcard("unacked_index") == 0
    message = take(fair_talk, queue)
    assert message is not None
    assert (message.decode(), message.headers["redelivered"]) == ("first", True)
    assert take_all(fair_talk, queue) == ["second"]


def test_at_most_a_hundred_join_at_once(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    stock_talk.say(queue, *range(250))
    assert [adopt(fair_talk, queue) for _ in range(4)] == [100, 100, 50, 0]
    assert take_all(fair_talk, queue) == list(range(250))


def test_a_message_that_somebody_else_has_taken_is_left_to_them(
    fair_talk: Conversation,
    stock_talk: Conversation,
    queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stock_talk.say(queue, "one", "two")
    read = adoption.envelope.read

    def taken_meanwhile(message: bytes) -> dict[str, object]:
        monkeypatch.setattr(adoption.envelope, "read", read)
        fair_talk.redis.rpop(queue.name)
        return read(message)

    monkeypatch.setattr(adoption.envelope, "read", taken_meanwhile)
    assert adopt(fair_talk, queue) == 1
    assert take_all(fair_talk, queue) == ["two"]


def test_a_purge_empties_the_lists_of_plain_producers_too(
    fair_talk: Conversation, stock_talk: Conversation, queue: Queue
) -> None:
    stock_talk.say(queue, "old")
    stock_talk.say(queue, "old and late", priority=6)
    fair_talk.say(queue, "new")
    assert queue(fair_talk.channel).purge() == 3
    assert take(fair_talk, queue) is None


def test_a_key_of_that_name_that_is_no_list_harms_nothing(world: World) -> None:
    world.redis.hset("no-list", "a", "b")
    world.start("no-list", concurrency=1)
    world.serves("no-list", "beside-it")
    world.beats("no-list", 1.5)
    world.check("no-list", once=("beside-it",))


# -- workers -----------------------------------------------------------------------------------


def test_old_and_new_workers_and_producers_side_by_side_run_each_job_once(
    world: World, broker_url: str
) -> None:
    name = "mixed"
    plain = redis_of(broker_url)
    old = world.publisher(plain)
    world.start_all(
        world.worker(name, broker_url=plain, concurrency=1), world.worker(name, concurrency=1)
    )
    jobs = [f"old-{number}" for number in range(40)] + [f"new-{number}" for number in range(40)]
    for job in jobs:
        if job.startswith("old"):
            old.send_task("tests.transport.plain_app.nap", (job, 0.01), queue=name)
        else:
            world.publish("nap", job, 0.01, queue=name)
    world.check(name, once=tuple(jobs))
    assert world.redis.exists(name) == 0


def test_a_worker_that_is_killed_while_messages_join_loses_none(
    world: World, broker_url: str
) -> None:
    name = "joining"
    plain = world.publisher(redis_of(broker_url))
    jobs = tuple(f"joining-{number}" for number in range(400))

    def publish(some: tuple[str, ...]) -> None:
        for job in some:
            plain.send_task("tests.transport.plain_app.nap", (job, 0.005), queue=name)

    publish(jobs[:200])
    first = world.start(name, concurrency=2)
    for number in (0, 60, 120):
        world.has_begun(jobs[number])
        publish(jobs[200 + number : 260 + number])
    first.kill()
    publish(jobs[380:])
    world.start(name, concurrency=2)
    world.check(name, more=jobs)
    again = [job for job in jobs if len(world.runs(job)) > 1]
    assert len(again) <= 4, "only what the killed one held runs again"
    assert world.redis.exists(name) == 0


def test_a_queue_that_goes_back_to_the_plain_transport_leaves_nothing_behind(
    world: World, fair_talk: Conversation, broker_url: str
) -> None:
    name = "back"
    jobs = tuple(f"back-{number}" for number in range(130))
    for job in jobs:
        world.publish("nap", job, 0.0, queue=name)
    world.publish("nap", "back-late", 0.0, queue=name, countdown=1)
    world.publish("nap", "back-low", 0.0, queue=name, priority=9)
    fair = FairQueue(fair_talk.redis, name, gate=ALWAYS_OPEN)
    fair.hold("nobody")
    assert fair.size() == 132
    assert (
        adoption.give_away(fair, lambda step: f"{name}\x06\x16{step}" if step else name) == 132
    )
    assert fair.size() == 0
    world.start(name, broker_url=redis_of(broker_url), concurrency=2)
    world.check(name, once=(*jobs, "back-late", "back-low"))


def adopt(talk: Conversation, queue: Queue) -> int:
    lists = [queue.name, *(f"{queue.name}\x06\x16{step}" for step in (3, 6, 9))]
    return adoption.adopt(FairQueue(talk.redis, queue.name), lists)
