"""What becomes of a delivered message: acknowledged, rejected, given back, recovered."""

from __future__ import annotations

import uuid

import pytest
from kombu import Message

from tests.transport.conversation import (
    Conversation,
    Listener,
    size,
    take,
    take_all,
)


def test_an_acknowledged_message_is_not_held_any_more(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2)
    listener = Listener(talk, queue, answer=None)
    listener.hears(2)
    for message in listener.messages:
        message.ack()
    listener.channel.close()
    assert (size(talk, queue), take_all(talk, queue)) == (0, [])


def test_a_rejected_message_is_dropped(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2)
    listener = Listener(talk, queue, answer=lambda message: message.reject())
    assert listener.hears_nothing_more(2) == [1, 2]
    listener.channel.close()
    assert take_all(talk, queue) == []


@pytest.mark.parametrize("how", [Message.requeue, lambda message: message.reject(requeue=True)])
def test_a_requeued_message_comes_again_and_says_so(talk: Conversation, how: object) -> None:
    queue = talk.queue()
    talk.say(queue, 1)
    first = take(talk, queue)
    assert first is not None and callable(how)
    how(first)
    again = take(talk, queue)
    assert again is not None
    assert again.decode() == 1
    assert again.headers["redelivered"] is True
    again.ack()
    assert take(talk, queue) is None


def test_a_requeued_message_goes_to_the_front_of_its_root_not_to_the_end_as_on_stock_redis(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2, 3)
    first = take(fair_talk, queue)
    assert first is not None
    first.requeue()
    assert take_all(fair_talk, queue) == [1, 2, 3]


def test_what_was_requeued_one_after_the_other_stands_as_a_stack_at_the_front(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2, 3, 4)
    held = [take(fair_talk, queue) for _ in range(3)]
    for message in held:
        assert message is not None
        message.requeue()
    assert take_all(fair_talk, queue) == [3, 2, 1, 4]


@pytest.mark.parametrize("end", ["close", "recover"])
def test_a_channel_gives_back_what_it_holds_in_its_order_not_in_reverse_as_on_stock_redis(
    fair_talk: Conversation, end: str
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2, 3, 4, 5)
    listener = Listener(fair_talk, queue, prefetch=3, answer=None)
    listener.hears(3)
    listener.consumer.cancel()
    if end == "close":
        listener.channel.close()
    else:
        listener.channel.basic_recover(requeue=True)
    assert fair_talk.leases(queue) == 0
    assert take_all(fair_talk, queue) == [1, 2, 3, 4, 5]


def test_recovered_messages_are_delivered_again_to_the_same_consumer(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    talk.say(queue, 1, 2)
    listener = Listener(talk, queue, answer=None)
    listener.hears(2)
    listener.consumer.recover(requeue=True)
    assert sorted(listener.hears_nothing_more(4)[2:]) == [1, 2]
    assert [message.headers["redelivered"] for message in listener.messages[2:]] == [True] * 2


def test_an_acknowledgement_after_its_channel_was_closed_ends_the_lease_unlike_on_stock_redis(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, 1)
    listener = Listener(fair_talk, queue, answer=None)
    listener.hears(1)
    listener.channel.do_restore = False  # as in a process that leaves it to others
    listener.channel.close()
    assert fair_talk.leases(queue) == 1
    listener.messages[0].ack()
    assert (fair_talk.leases(queue), take_all(fair_talk, queue)) == (0, [])


def test_a_message_of_a_deleted_queue_does_not_settle_one_of_the_new_queue_of_its_name(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, "old")
    old = take(fair_talk, queue)
    fair_talk.connect().default_channel.queue_delete(queue.name)
    fair_talk.say(queue, "new")
    new = take(fair_talk, queue)
    assert old is not None and new is not None
    old.ack()
    assert fair_talk.leases(queue) == 1
    new.channel.close()
    assert take_all(fair_talk, queue) == ["new"]


def test_the_headers_and_properties_of_a_message_come_as_they_were_sent(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    headers = {"id": "42", "lang": "py", "eta": None, "nested": {"task": "t", "ö": [1, None]}}
    talk.say(
        queue, {"ä": "\u2028"}, headers=headers, correlation_id="c", reply_to="there",
        priority=3, compression="zlib",
    )  # fmt: skip
    message = take(talk, queue)
    assert message is not None
    headers |= {"root_id": "root"}
    assert {name: message.headers[name] for name in headers} == headers
    assert set(message.headers) == {*headers, "compression"}
    assert message.decode() == {"ä": "\u2028"}
    told = {"correlation_id": "c", "reply_to": "there", "priority": 3, "delivery_mode": 2}
    assert told.items() <= message.properties.items()
    assert message.delivery_info["routing_key"] == queue.routing_key
    message.ack()


@pytest.mark.parametrize("body", [b"", b"\x00\xff\xfe", b"x" * 2_000_000], ids=["", "0", "2MB"])
def test_a_body_of_any_bytes_comes_as_it_was_sent(talk: Conversation, body: bytes) -> None:
    queue = talk.queue()
    talk.say(queue, body, content_type="application/data", content_encoding="binary")
    message = take(talk, queue)
    assert message is not None
    assert (message.body or b"") == body
    message.ack()


def test_the_last_root_to_come_is_served_before_those_that_were_served_already(
    fair_talk: Conversation,
) -> None:
    queue = fair_talk.queue()
    fair_talk.say(queue, "a1", "a2", "a3", root="a")
    heard = []
    message = take(fair_talk, queue)
    assert message is not None
    heard.append(message.decode())
    message.ack()
    fair_talk.say(queue, "b1", root="b")
    assert [*heard, *take_all(fair_talk, queue)] == ["a1", "b1", "a2", "a3"]


def test_messages_without_a_root_are_served_in_the_order_they_came(
    talk: Conversation,
) -> None:
    queue = talk.queue()
    talk.say(queue, *range(10), root=None)
    assert take_all(talk, queue) == list(range(10))


def test_the_lowest_priority_waits_until_nothing_else_does(talk: Conversation) -> None:
    queue = talk.queue()
    talk.say(queue, "low", priority=9, root=None)
    talk.say(queue, "normal", root=None)
    assert take_all(talk, queue) == ["normal", "low"]


def test_a_consumer_that_the_server_has_not_heard_of_for_long_takes_no_more(
    fair_talk: Conversation,
) -> None:
    """Others may be about to take over what it holds; it goes on once a beat is answered."""
    fair_talk.options |= {"beat_every": 3600, "lost_after": 36_000}
    fair_talk.options |= {"global_keyprefix": f"{uuid.uuid4().hex}:"}
    queue = fair_talk.queue()
    listener = Listener(fair_talk, queue)
    fair_talk.say(queue, "before")
    assert listener.hears(1) == ["before"]
    leases = listener.channel.leases
    leases._beaten[queue.name] -= 0.7 * 36_000
    fair_talk.say(queue, "meanwhile")
    assert listener.hears_nothing_more(1) == ["before"]
    leases.has_beaten(queue.name)
    assert listener.hears(2) == ["before", "meanwhile"]


def test_a_queue_that_is_refused_costs_the_leases_of_another_nothing(
    fair_talk: Conversation,
) -> None:
    fair_talk.quicken()
    refused, other = fair_talk.queue("a-refused"), fair_talk.queue("b-other")
    listener = Listener(fair_talk, refused, other, answer=None)
    fair_talk.say(refused, 1)
    fair_talk.say(other, 2)
    listener.hears(2)
    fair_talk.redis.delete(f"{fair_talk.base(refused)}cons")
    fair_talk.redis.set(f"{fair_talk.base(refused)}cons", "of another type")
    fair_talk.hears_beats(other, 3)
    assert fair_talk.leases(other) == 1
