"""What nobody can deliver is kept with its reason, and costs no worker anything.

The shapes are those of which kombu's own transport loses some and by some of which a worker of
Celery 5.7 ends, or connects again for ever; anybody who reaches the broker can push them.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from kombu import Queue

from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.quarantine import Quarantine, Quarantined
from tests.transport.conversation import Conversation, size, take, take_all
from tests.transport.world import World
from tests.waiting import eventually

TASK = {"task": "tests.transport.plain_app.nap", "id": "an-id", "root_id": "r"}


def message(**changed: Any) -> dict[str, Any]:
    """A message as Celery and kombu write it, but for what is changed; None removes it."""
    body = base64.b64encode(json.dumps([["sound"], {}, {}]).encode()).decode()
    whole = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": TASK,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "delivery_tag": "a-tag",
            "priority": 0,
        },
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


PROPERTIES = message()["properties"]
#: what no consumer can read: what it is, and a part of the reason that is kept
UNREADABLE = {
    "not json": (b"not json", "not JSON"),
    "truncated": (json.dumps(message()).encode()[:80], "not JSON"),
    "not UTF-8": (b'{"body": "\xff\xfe"}', "not JSON in UTF-8"),
    "half a pair": (b'{"properties": {"delivery_info": "\\ud800"}}', "no delivery_info"),
    "a list": (b"[1, 2]", "not an object, but list"),
    "nested deep": (b"[" * 100_000, "not JSON"),
    "10 MB of garbage": (b"\x00\xff" * 5_000_000, "not JSON"),
    "an object": (b'{"a": 1}', "properties are no object"),
    "no delivery_info": (json.dumps(message(properties={})).encode(), "no delivery_info"),
    "headers a list": (json.dumps(message(headers=[1])).encode(), "headers are no object"),
    "body no base64": (json.dumps(message(body="abcde")).encode(), "kombu cannot read it"),
    "body no text": (json.dumps(message(body=[1])).encode(), "kombu cannot read it"),
    "unknown encoding": (
        json.dumps(message(properties=PROPERTIES | {"body_encoding": "rot13"})).encode(),
        "kombu cannot read it",
    ),
    "a task without id": (
        json.dumps(message(headers={"task": TASK["task"]})).encode(),
        "the message of a task has no id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", UNREADABLE)
def test_what_cannot_be_read_is_set_aside_and_what_follows_is_delivered(
    fair_talk: Conversation, shape: str
) -> None:
    raw, reason = UNREADABLE[shape]
    queue = fair_talk.queue()
    fair_talk.redis.lpush(queue.name, raw)
    fair_talk.say(queue, "sound")
    assert take_all(fair_talk, queue) == ["sound"]
    (kept,) = entries(fair_talk, queue)
    assert reason in kept.reason
    assert kept.size == len(raw)
    assert quarantine(fair_talk, queue).message(kept.id) == raw
    assert size(fair_talk, queue) == 0


def test_every_shape_together_costs_a_worker_nothing(
    world: World, fair_talk: Conversation
) -> None:
    worker = world.start("all-shapes", concurrency=1)
    for raw, _ in UNREADABLE.values():
        world.redis.lpush("all-shapes", raw)
    world.serves("all-shapes", "behind-them")
    queue = Queue("all-shapes")
    eventually(lambda: len(entries(fair_talk, queue)) == len(UNREADABLE), within=30)
    world.serves("all-shapes", "after-them")
    assert worker.alive
    eventually(lambda: not world.leases("all-shapes"), within=20)


def test_what_is_put_back_is_delivered_once_more(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    fair_talk.redis.lpush(queue.name, b"not json")
    assert take_all(fair_talk, queue) == []
    (first,) = entries(fair_talk, queue)
    assert quarantine(fair_talk, queue).put_back(first.id, "its own")
    assert size(fair_talk, queue) == 1
    assert take_all(fair_talk, queue) == []
    (second,) = entries(fair_talk, queue)
    assert second.id != first.id
    assert not quarantine(fair_talk, queue).put_back(first.id, "its own")


def test_what_is_dropped_is_gone(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    fair_talk.redis.lpush(queue.name, b"not json")
    assert take_all(fair_talk, queue) == []
    (kept,) = entries(fair_talk, queue)
    assert quarantine(fair_talk, queue).drop(kept.id)
    assert not quarantine(fair_talk, queue).drop(kept.id)
    assert (entries(fair_talk, queue), quarantine(fair_talk, queue).size()) == ([], 0)


def test_a_consumer_without_acknowledgements_sets_aside_too(fair_talk: Conversation) -> None:
    queue = fair_talk.queue()
    fair_talk.redis.lpush(queue.name, json.dumps(message(body="abcde")))
    assert take(fair_talk, queue, no_ack=True) is None
    assert len(entries(fair_talk, queue)) == 1


def quarantine(talk: Conversation, queue: Queue) -> Quarantine:
    return Quarantine(FairQueue(talk.redis, queue.name))


def entries(talk: Conversation, queue: Queue) -> list[Quarantined]:
    return quarantine(talk, queue).entries()
