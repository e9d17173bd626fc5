"""kombu on one broker: connections that end with the test, and what they send and receive."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property
from typing import Any

import redis
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.transport.virtual import Channel

from jobmonitor.transport.keys import base_of
from tests.brokers import redis_of
from tests.waiting import eventually

#: how long a test waits for what is to come, and for what is not to come
PATIENCE, MOMENT = 20.0, 0.3


class Conversation:
    """What a test says and hears by kombu on one broker URL."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.options = options
        self.redis = redis.Redis.from_url(redis_of(url))
        self._opened: list[Connection] = []

    def connect(self, **options: Any) -> Connection:
        """Open a connection that ends with the test."""
        connection = Connection(self.url, transport_options={**self.options, **options})
        self._opened.append(connection)
        return connection

    @cached_property
    def channel(self) -> Channel:
        """A channel for what needs none of its own."""
        return self.connect().default_channel

    def close(self) -> None:
        """End all connections."""
        for connection in self._opened:
            connection.release()
        self.redis.close()

    def queue(self, name: str = "q") -> Queue:
        """A queue that no other test has, bound to an exchange of its own, and declared."""
        unique = f"{name}-{uuid.uuid4().hex[:12]}"
        queue = Queue(unique, Exchange(unique, "direct"), unique)
        queue(self.channel).declare()
        return queue

    def say(
        self, queue: Queue, *bodies: Any, root: str | None = "root", **options: Any
    ) -> None:
        """Publish messages of one root; with `root` None each is its own."""
        headers = options.pop("headers", {}) | ({"root_id": root} if root else {})
        producer = Producer(self.channel)
        for body in bodies:
            producer.publish(
                body, exchange=queue.exchange, routing_key=queue.routing_key,
                declare=[queue], headers=headers, **options,
            )  # fmt: skip

    # -- what the server has of a fair queue -------------------------------------------------

    def quicken(self) -> None:
        """Let this test's consumers beat ten times a second, by keys of their own."""
        self.options |= {"beat_every": 0.1, "lost_after": 10}
        self.options |= {"global_keyprefix": f"{uuid.uuid4().hex}:"}

    def base(self, queue: Queue) -> str:
        """What all keys of a fair queue begin with."""
        return base_of(self.options.get("global_keyprefix", ""), queue.name)

    def names_of(self, queue: Queue) -> list[str]:
        """The keys of a fair queue, without their base, but what is forgotten by itself."""
        base = self.base(queue)
        names = [key.decode().removeprefix(base) for key in self.redis.keys(f"{base}*")]
        return sorted(name for name in names if not name.startswith(("p:", "served:")))

    def leases(self, queue: Queue) -> int:
        """How many messages of a fair queue somebody holds."""
        return int(self.redis.hget(f"{self.base(queue)}meta", "inflight") or 0)

    def hears_beats(self, queue: Queue, count: int) -> None:
        """Wait until the consumers of a queue have beaten so often."""
        seen: set[float] = set()

        def beats() -> int:
            newest = self.redis.zrange(f"{self.base(queue)}cons", -1, -1, withscores=True)
            seen.update(beat for _, beat in newest)
            return len(seen) > count

        eventually(beats, within=PATIENCE, says=f"{count} beats come")


class Listener:
    """A consumer on a connection and channel of its own that remembers what it was given."""

    def __init__(
        self, conversation: Conversation, *queues: Queue, prefetch: int = 0,
        no_ack: bool = False, answer: Callable[[Message], Any] | None = Message.ack,
    ) -> None:  # fmt: skip
        self.connection = conversation.connect()
        self.channel = self.connection.channel()
        self.messages: list[Message] = []
        self._answer = None if no_ack else answer
        self.consumer = Consumer(
            self.channel, queues, on_message=self._hear, no_ack=no_ack, prefetch_count=prefetch
        )
        self.consumer.consume()

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        if self._answer is not None:
            self._answer(message)

    @property
    def bodies(self) -> list[Any]:
        """What was heard, in its order."""
        return [message.decode() for message in self.messages]

    def hears(self, count: int) -> list[Any]:
        """Wait until so many messages have come."""
        eventually(
            lambda: len(self.messages) >= count or self.listen(),
            within=PATIENCE, says=f"{count} messages come",
        )  # fmt: skip
        return self.bodies

    def hears_nothing_more(self, than: int) -> list[Any]:
        """Listen for a moment more after so many messages."""
        self.hears(than)
        self.listen()
        assert len(self.messages) == than
        return self.bodies

    def listen(self, seconds: float = MOMENT) -> None:
        """Drain what comes; a connection that breaks is not the end."""
        try:
            self.connection.drain_events(timeout=seconds)
        except TimeoutError:
            return


def take(conversation: Conversation, queue: Queue, *, no_ack: bool = False) -> Message | None:
    """Ask once for a message, on a channel that stays open."""
    return queue(conversation.connect().default_channel).get(no_ack=no_ack)


def take_all(conversation: Conversation, queue: Queue) -> list[Any]:
    """Take what waits, for good, in its order."""
    bound, bodies = queue(conversation.channel), []
    while (message := bound.get(no_ack=True)) is not None:
        bodies.append(message.decode())
    return bodies


def size(conversation: Conversation, queue: Queue) -> int:
    """How many messages the broker says wait, in the words of queue_declare."""
    counted: int = queue(conversation.channel).queue_declare().message_count
    return counted
