"""What kombu promises of a channel holds on the fair transport as on its own.

A test with `talk` tells its story on both. Where ours differs on purpose the name says so.
"""

from __future__ import annotations

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from kombu.exceptions import ChannelError

from tests.transport.conversation import (
    PATIENCE,
    Conversation,
    Listener,
    size,
    take,
    take_all,
)
from tests.waiting import eventually

# -- exchanges ---------------------------------------------------------------------------------


def test_a_direct_exchange_delivers_by_the_exact_routing_key(talk: Conversation) -> None:
    blue, red = talk.queue("blue"), talk.queue("red")
    talk.say(blue, "sky")
    talk.say(red, "rose")
    assert (take_all(talk, blue), take_all(talk, red)) == (["sky"], ["rose"])


def test_a_topic_exchange_delivers_a_copy_to_every_queue_whose_pattern_matches(
    talk: Conversation,
) -> None:
    name = talk.queue().name
    exchange = Exchange(f"{name}-topic", "topic")
    patterns = {"stars": "news.*.eu", "hash": "news.#", "other": "mail.#"}
    queues = {key: Queue(f"{name}-{key}", exchange, rule) for key, rule in patterns.items()}
    channel = talk.connect().default_channel
    for queue in queues.values():
        queue(channel).declare()
    for key in ("news.sport.eu", "news.sport.us"):
        exchange(channel).publish(channel.prepare_message(key, headers={"root_id": "r"}), key)
    heard = {key: take_all(talk, queue) for key, queue in queues.items()}
    assert heard == {
        "stars": ["news.sport.eu"],
        "hash": ["news.sport.eu", "news.sport.us"],
        "other": [],
    }


def test_a_fanout_exchange_delivers_a_copy_to_everybody_who_listens(
    talk: Conversation,
) -> None:
    exchange = Exchange(f"{talk.queue().name}-fanout", "fanout")
    ears = [
        Listener(talk, Queue(f"{exchange.name}-{ear}", exchange, auto_delete=True))
        for ear in range(2)
    ]
    for ear in ears:
        ear.listen()  # subscribes
    talk.say(Queue(f"{exchange.name}-0", exchange), "hear, hear")
    assert [ear.hears(1) for ear in ears] == [["hear, hear"], ["hear, hear"]]
    assert all(ear.messages[0].delivery_info["exchange"] == exchange.name for ear in ears)


# -- simple interfaces -------------------------------------------------------------------------


def test_a_simple_queue_puts_gets_counts_and_clears(talk: Conversation) -> None:
    with talk.connect().SimpleQueue(talk.queue().name) as queue:
        for number in range(3):
            queue.put({"n": number}, headers={"root_id": "r"})
        assert queue.qsize() == 3
        first = queue.get(timeout=PATIENCE)
        assert first.payload == {"n": 0}
        first.ack()
        second = queue.get_nowait()
        assert second.payload == {"n": 1}
        second.ack()
        assert queue.clear() == 1
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.1)
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_a_simple_buffer_gives_each_message_once_without_acknowledgement(
    talk: Conversation,
) -> None:
    name = talk.queue().name
    with talk.connect().SimpleBuffer(name) as buffer:
        for number in range(3):
            buffer.put(number, headers={"root_id": "r"})
        assert [buffer.get(timeout=PATIENCE).payload for _ in range(3)] == [0, 1, 2]
    with talk.connect().SimpleBuffer(name) as again, pytest.raises(again.Empty):
        again.get_nowait()


# -- basic_get ---------------------------------------------------------------------------------


def test_what_was_got_and_acknowledged_does_not_come_again(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, "one")
    message = take(talk, queue)
    assert message is not None and message.decode() == "one"
    assert take(talk, queue) is None
    message.ack()
    message.channel.close()
    assert take(talk, queue) is None


def test_what_was_got_and_not_acknowledged_comes_again_when_its_channel_closes(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    talk.say(queue, "one")
    message = take(talk, queue)
    assert message is not None and not message.headers.get("redelivered")
    message.channel.close()
    again = take(talk, queue)
    assert again is not None and again.headers["redelivered"] is True
    assert again.delivery_info["redelivered"] is True
    again.ack()


def test_what_was_got_without_acknowledgement_is_gone(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, "one")
    message = take(talk, queue, no_ack=True)
    assert message is not None
    message.channel.close()
    assert take(talk, queue) is None


# -- consumers ---------------------------------------------------------------------------------


def test_a_consumer_gets_the_messages_of_a_root_in_the_order_they_were_sent(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    talk.say(queue, *range(20))
    assert Listener(talk, queue).hears_nothing_more(20) == list(range(20))


def test_a_consumer_without_acknowledgements_holds_nothing(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2, 3)
    listener = Listener(talk, queue, no_ack=True)
    assert listener.hears(3) == [1, 2, 3]
    listener.channel.close()
    assert take_all(talk, queue) == []


def test_a_consumer_without_acknowledgements_is_woken_by_a_message(
    fair_talk: Conversation,
) -> None:
    fair_talk.quicken()
    queue = fair_talk.queue()
    listener = Listener(fair_talk, queue, no_ack=True)
    listener.listen()
    eventually(lambda: "cons" in fair_talk.names_of(queue), says="it is known as a consumer")
    fair_talk.say(queue, 1, 2)  # it waits already for the first token
    assert "wake" in fair_talk.names_of(queue)
    assert listener.hears(2) == [1, 2]


@pytest.mark.parametrize("prefetch", [1, 4])
def test_a_consumer_never_holds_more_than_its_prefetch_count(
    talk: Conversation, prefetch: int
) -> None:
    queue = talk.queue()
    talk.say(queue, *range(10))
    listener = Listener(talk, queue, prefetch=prefetch, answer=None)
    listener.hears_nothing_more(prefetch)
    assert size(talk, queue) == 10 - prefetch
    for number in range(10):
        listener.hears(number + 1)
        assert len(listener.messages) - number <= prefetch
        listener.messages[number].ack()
    assert listener.bodies == list(range(10))


def test_two_consumers_on_one_channel_each_get_what_is_for_their_queue(
    talk: Conversation,
) -> None:
    one, two = talk.queue("one"), talk.queue("two")
    listener = Listener(talk, one)
    also: list[str] = []
    second = Consumer(listener.channel, [two], no_ack=True)
    second.register_callback(lambda body, message: also.append(body))
    second.consume()
    talk.say(one, "a", "b")
    talk.say(two, "c", "d")
    eventually(
        lambda: len(listener.bodies) + len(also) == 4 or listener.listen(), within=PATIENCE
    )
    assert (listener.bodies, also) == (["a", "b"], ["c", "d"])


def test_no_queue_of_a_consumer_starves_behind_another(talk: Conversation) -> None:
    queues = [talk.queue(name) for name in ("one", "two", "three")]
    for queue in queues:
        talk.say(queue, *[queue.name] * 10)
    heard = Listener(talk, *queues).hears(30)
    for begin in range(0, 30, 3):
        assert sorted(heard[begin : begin + 3]) == sorted(queue.name for queue in queues)


def test_a_reply_queue_does_not_starve_behind_a_busy_fair_queue(
    fair_talk: Conversation,
) -> None:
    jobs = fair_talk.queue("jobs")
    replies = fair_talk.queue("x")
    replies = Queue(f"{replies.name}.reply.celery.pidbox", replies.exchange, "reply")
    fair_talk.say(jobs, *range(20))
    fair_talk.say(replies, "reply")
    heard = Listener(fair_talk, jobs, replies).hears(21)
    assert heard.index("reply") <= 2
    assert [body for body in heard if body != "reply"] == list(range(20))


def test_a_canceled_consumer_gets_nothing_more_and_loses_nothing(talk: Conversation) -> None:
    kept, canceled = talk.queue("kept"), talk.queue("canceled")
    listener = Listener(talk, kept, canceled)
    listener.listen()
    listener.consumer.cancel_by_queue(canceled.name)
    talk.say(canceled, 1, 2)
    talk.say(kept, "a")
    assert listener.hears_nothing_more(1) == ["a"]
    assert sorted(take_all(talk, canceled)) == [1, 2]


@pytest.mark.parametrize("no_ack", [False, True])
def test_a_message_on_its_way_to_a_consumer_that_is_canceled_is_not_lost(
    fair_talk: Conversation, no_ack: bool
) -> None:
    queue = fair_talk.queue()
    listener = Listener(fair_talk, queue, no_ack=no_ack)
    listener.listen()
    fair_talk.say(queue, "one")
    channel = listener.channel
    _ask_for_a_message(listener)
    eventually(lambda: size(fair_talk, queue) == 0, says="the server has given it")
    listener.consumer.cancel()
    assert channel._in_poll is None
    assert listener.bodies + take_all(fair_talk, queue) == ["one"]
    assert fair_talk.redis.exists(queue.name) == 0


def _ask_for_a_message(listener: Listener) -> None:
    """Send a take and do not read what it brings."""
    channel, cycle = listener.channel, listener.connection.transport.cycle
    while channel._asked is None or channel._asked.queue is None:
        if channel._asked is not None:
            listener.listen()
        cycle.on_poll_start()


def test_a_waiting_consumer_goes_on_when_its_connection_is_killed(talk: Conversation) -> None:
    queue = talk.queue()
    listener = Listener(talk, queue)
    listener.listen()
    _kill(talk, listener.connection)
    talk.say(queue, 1, 2)
    eventually(lambda: len(listener.bodies) == 2 or _listen(listener), within=PATIENCE)
    assert listener.bodies == [1, 2]


def test_a_consumer_whose_connection_is_dropped_under_a_question_goes_on(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2, 3)
    listener = Listener(fair_talk, queue)
    listener.hears(1)
    _ask_for_a_message(listener)
    listener.channel.client.connection.disconnect()  # as kombu's health checks do
    assert listener.hears_nothing_more(3) == [1, 2, 3]


def _kill(talk: Conversation, connection: Connection) -> None:
    """Let the server cut all connections of a client."""
    for channel in connection.transport.channels:
        used = channel.client.connection
        if used is not None and used._sock is not None:
            talk.redis.client_kill_filter(addr="{}:{}".format(*used._sock.getsockname()))


def _listen(listener: Listener) -> None:
    try:
        listener.listen()
    except listener.connection.connection_errors:
        return  # the next time it connects again


# -- queues ------------------------------------------------------------------------------------


def test_declaring_a_queue_tells_how_many_messages_wait(talk: Conversation) -> None:
    queue = talk.queue()
    assert size(talk, queue) == 0
    talk.say(queue, 1, 2)
    assert size(talk, queue) == 2


def test_a_passive_declare_finds_a_queue_with_messages_and_refuses_one_that_nobody_declared(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    talk.say(queue, 1)
    channel = talk.connect().default_channel
    assert queue(channel).queue_declare(passive=True).message_count == 1
    with pytest.raises(ChannelError, match="no queue"):
        Queue(f"{queue.name}-unknown")(channel).queue_declare(passive=True)


def test_a_declared_queue_exists_also_while_it_is_empty_unlike_on_stock_redis(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    declared = queue(fair_talk.connect().default_channel).queue_declare(passive=True)
    assert declared.message_count == 0


def test_purging_counts_what_waits_and_leaves_what_somebody_holds(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2, 3, 4)
    held = take(talk, queue)
    assert held is not None
    channel = talk.connect().default_channel
    assert queue(channel).purge() == 3
    assert size(talk, queue) == 0
    held.reject(requeue=True)
    assert take_all(talk, queue) == [1]
    assert queue(channel).purge() == 0


def test_a_deleted_queue_leaves_nothing_on_the_server(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2)
    talk.say(queue, 3, priority=9)
    channel = talk.connect().default_channel
    queue(channel).declare()
    message = queue(channel).get()
    assert message is not None
    message.ack()
    queue(channel).delete()
    assert _left_of(talk, queue) == []


def test_a_queue_can_be_deleted_by_a_process_that_did_not_declare_it_unlike_on_stock_redis(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2)
    fair_talk.connect().default_channel.queue_delete(queue.name)
    assert fair_talk.names_of(queue) == []
    with pytest.raises(ChannelError):
        queue(fair_talk.connect().default_channel).queue_declare(passive=True)


def test_a_process_that_deleted_a_queue_does_not_bring_it_back_by_its_beats(
    fair_talk: Conversation,
) -> None:
    fair_talk.quicken()
    queue, other = fair_talk.queue(), fair_talk.queue()
    listener = Listener(fair_talk, queue, other)
    listener.listen()
    listener.consumer.cancel()
    queue(listener.channel).delete()
    fair_talk.hears_beats(other, 2)
    assert fair_talk.names_of(queue) == []


def _left_of(talk: Conversation, queue: Queue) -> list[bytes]:
    """The keys in which a queue's name is, but what is forgotten after ten minutes."""
    keys = talk.redis.keys(f"*{queue.name}*")
    return [key for key in keys if b":p:" not in key]
