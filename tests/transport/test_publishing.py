"""A message is published once, whatever becomes of the reply; alone or in a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import BatchPublishError, OperationalError

from jobmonitor.transport.scripts import library, script
from tests.transport.between import Between, between
from tests.transport.conversation import Conversation, Listener, size, take, take_all

AT_ONCE = {"max_retries": 3, "interval_start": 0, "interval_step": 0}
PUBLISH = script("publish").name.encode()


def publish(connection: Connection, queue: Queue, body: Any, **options: Any) -> None:
    headers = {"root_id": options.pop("root", "root")}
    Producer(connection).publish(
        body, exchange=queue.exchange, routing_key=queue.routing_key, headers=headers, **options
    )


# -- one message -------------------------------------------------------------------------------


def test_a_message_whose_reply_was_lost_is_published_once_when_kombu_tries_again(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    with between(fair_talk.url) as lossy, Connection(lossy.url) as connection:
        publish(connection, queue, 1)
        lossy.lose_reply_of(PUBLISH)
        publish(connection, queue, 2, retry=True, retry_policy=AT_ONCE)
        publish(connection, queue, 3)
        assert lossy.lost == 1
    assert take_all(fair_talk, queue) == [1, 2, 3]


def test_stock_redis_publishes_such_a_message_twice(plain_broker_url: str) -> None:
    talk = Conversation(plain_broker_url)
    queue = talk.queue()
    with between(talk.url) as lossy, Connection(lossy.url) as connection:
        lossy.lose_reply_of(b"LPUSH")
        publish(connection, queue, 1, retry=True, retry_policy=AT_ONCE)
    assert take_all(talk, queue) == [1, 1]
    talk.close()


def test_a_message_to_several_queues_arrives_once_in_each_when_kombu_tries_again(
    fair_talk: Conversation,
) -> None:
    first = fair_talk.queue()
    exchange = Exchange(f"{first.name}-topic", "topic")
    queues = [Queue(f"{first.name}-{n}", exchange, "#") for n in range(3)]
    for queue in queues:
        queue(fair_talk.connect().default_channel).declare()
    with between(fair_talk.url) as lossy, Connection(lossy.url) as connection:
        publish(connection, queues[0], 0)
        lossy.lose_reply_of(PUBLISH)  # of the first queue that it goes to
        publish(connection, queues[0], 1, retry=True, retry_policy=AT_ONCE)
    assert [take_all(fair_talk, queue) for queue in queues] == [[0, 1]] * 3


def test_without_retries_the_publisher_hears_of_the_lost_reply(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    with between(fair_talk.url) as lossy, Connection(lossy.url) as connection:
        publish(connection, queue, 1)
        lossy.lose_reply_of(PUBLISH)
        with pytest.raises((OperationalError, redis.ConnectionError)):
            publish(connection, queue, 2)
    assert take_all(fair_talk, queue) == [1, 2]


def test_a_message_that_redis_py_sends_again_after_a_timeout_is_published_once(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    impatient = {"retry_on_timeout": True, "socket_timeout": 0.5}
    with (
        between(fair_talk.url) as lossy,
        Connection(lossy.url, transport_options=impatient) as connection,
    ):
        publish(connection, queue, 1)
        lossy.lose_reply_of(PUBLISH, silently=True)
        publish(connection, queue, 2)
        assert lossy.lost == 1
    assert take_all(fair_talk, queue) == [1, 2]


def test_a_celery_task_whose_reply_was_lost_is_published_once(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    with (
        between(fair_talk.url) as lossy,
        Celery("sender", broker=lossy.url, set_as_current=False) as app,
    ):
        send: Callable[..., Any] = app.send_task
        send("t", ("first",), queue=queue, ignore_result=True)
        lossy.lose_reply_of(PUBLISH)
        send("t", ("second",), queue=queue, ignore_result=True, countdown=0)
        lossy.lose_reply_of(PUBLISH)
        send("t", ("later",), queue=queue, ignore_result=True, countdown=3600)
        assert lossy.lost == 2
    assert size(fair_talk, queue) == 3
    assert [body[0][0] for body in take_all(fair_talk, queue)] == ["first", "second"]


def test_a_producer_that_repeats_its_last_message_under_its_number_adds_nothing(
    fair_talk: Conversation,
) -> None:
    fair = fair_talk.connect().default_channel.fair_queue(fair_talk.queue().name)
    for number in (1, 2):
        assert fair.publish("x", id=f"p-{number}", producer="p", number=number, root="r")
    assert not fair.publish("x", id="p-2", producer="p", number=2, root="r", again=True)
    assert fair.publish("x", id="p-3", producer="p", number=3, root="r", again=True)
    assert fair.size() == 3


# -- a batch -----------------------------------------------------------------------------------


def test_a_batch_goes_out_in_one_pipeline_in_order(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    connection = fair_talk.connect()
    producer = Producer(connection)
    assert producer.supports_batch_publish
    with producer.batch():
        for number in range(30):
            say(producer, queue, number, root=f"root{number % 3}")
        assert size(fair_talk, queue) == 0
    heard = take_all(fair_talk, queue)
    for root in range(3):
        assert [number for number in heard if number % 3 == root] == list(range(root, 30, 3))


def test_a_batch_sends_what_it_has_when_it_is_full(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    producer = Producer(fair_talk.connect())
    with producer.batch(max_size=10):
        for number in range(25):
            say(producer, queue, number)
        assert size(fair_talk, queue) == 20
    assert take_all(fair_talk, queue) == list(range(25))


def test_a_batch_that_ends_with_an_exception_drops_what_it_did_not_send(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    producer = Producer(fair_talk.connect())
    with pytest.raises(ZeroDivisionError), producer.batch(max_size=2):
        for number in range(3):
            say(producer, queue, number)
        raise ZeroDivisionError
    say(producer, queue, "after")
    assert take_all(fair_talk, queue) == [0, 1, "after"]


def test_a_batch_whose_reply_was_lost_is_repeated_without_a_second_copy(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    with between(fair_talk.url) as lossy, Connection(lossy.url) as connection:
        producer = Producer(connection)
        lossy.lose_reply_of(PUBLISH)
        with producer.batch():
            for number in range(50):
                say(producer, queue, number)
        assert lossy.lost == 1
    assert take_all(fair_talk, queue) == list(range(50))


def test_a_batch_for_all_kinds_of_queues_loses_none_when_a_reply_is_lost(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    exchange = Exchange(f"{queue.name}-fanout", "fanout")
    ear = Listener(fair_talk, Queue(f"{exchange.name}-ear", exchange))
    ear.listen()
    reply = Queue(f"{queue.name}.reply.celery.pidbox", queue.exchange, "reply")
    reply(fair_talk.connect().default_channel).declare()
    with between(fair_talk.url) as lossy, Connection(lossy.url) as connection:
        producer = Producer(connection, exchange)  # declares it
        lossy.lose_reply_of(PUBLISH)
        with producer.batch():
            say(producer, queue, "fair")
            say(producer, reply, "reply")
            say(producer, Queue("any", exchange), "all")
        assert lossy.lost == 1
    assert take_all(fair_talk, queue) == ["fair"]
    assert take_all(fair_talk, reply) == ["reply"]
    assert ear.hears_nothing_more(1) == ["all"]


def test_a_batch_that_the_server_refuses_says_so_and_cannot_be_used_again(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    batch = fair_talk.connect().default_channel.create_publish_batch(10)
    fair_talk.redis.set(f"{fair_talk.base(queue)}fresh", "not what it was")
    channel = batch.channel
    batch.publish(channel.prepare_message("x"), exchange="", routing_key=queue.name)
    with pytest.raises(BatchPublishError, match="uncertain"):
        batch.flush()
    with pytest.raises(BatchPublishError, match="failed before"):
        batch.flush()
    fair_talk.redis.delete(f"{fair_talk.base(queue)}fresh")


def say(producer: Producer, queue: Queue, body: Any, root: str = "root") -> None:
    producer.publish(
        body, exchange=queue.exchange, routing_key=queue.routing_key, headers={"root_id": root}
    )


# -- a server that was restarted or flushed has no verbs ---------------------------------------


def test_every_verb_finds_a_server_that_has_forgotten_the_verbs(
    fair_talk: Conversation,
) -> None:
    fair = fair_talk.connect().default_channel.fair_queue(fair_talk.queue().name)
    forget = fair_talk.redis.function_flush
    for number in range(1, 4):
        forget()
        assert fair.publish("x", id=f"p-{number}", producer="p", number=number, root="r")
    taken = []
    for request in range(1, 4):
        forget()
        taken.append(fair.take("me", request)[0])
    leases = [one.lease for one in taken if one]
    for verb in (
        lambda: fair.refresh("me", [(leases[0], 500.0)]),
        lambda: fair.ack("me", leases[0], 1.0, root="r", low=False),
        lambda: fair.requeue("me", leases[1], 1.0),
        lambda: fair.beat("me", leases[2:]),
        lambda: fair.leave("me"),
    ):
        forget()
        verb()
    forget()
    assert fair.purge() == 2


def test_verbs_of_another_release_stay_beside_ours(fair_talk: Conversation) -> None:
    fair = fair_talk.connect().default_channel.fair_queue(fair_talk.queue().name)
    theirs = library().replace(script("take").name[:-4], "fair_0123_")
    fair_talk.redis.function_load(
        theirs.replace("name=" + script("take").name[:-5], "name=fair_0123")
    )
    assert fair.publish("x", id="p-1", producer="p", number=1, root="r")
    assert fair_talk.redis.fcall("fair_0123_purge", 1, fair.base, 1)[0] == 1
    assert fair.publish("x", id="p-2", producer="p", number=2, root="r")
    fair_talk.redis.function_delete("fair_0123")
    assert fair.purge() == 1


@pytest.mark.parametrize("state", ["asking", "waiting"])
def test_a_consumer_goes_on_when_the_verbs_are_forgotten(
    fair_talk: Conversation, state: str
) -> None:
    queue = fair_talk.queue()
    listener = Listener(fair_talk, queue)
    if state == "waiting":
        listener.listen()
    fair_talk.redis.function_flush()
    producer = Producer(fair_talk.connect())
    with producer.batch():
        say(producer, queue, 1)
    fair_talk.redis.function_flush()
    assert listener.hears(1) == [1]
    fair_talk.redis.function_flush()
    fair_talk.say(queue, 2)
    message = take(fair_talk, queue) if state == "asking" else None
    if message is not None:
        message.ack()
    else:
        assert listener.hears(2) == [1, 2]


def test_the_proxy_itself_passes_on_what_it_is_not_to_lose(fair_talk: Conversation) -> None:
    standing = Between(fair_talk.url)
    with Connection(standing.url) as connection:
        connection.default_channel.client.ping()
    standing.close()
    assert standing.lost == 0
