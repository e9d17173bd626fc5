"""Publishing to fair queues, one message or a batch, without a second copy after a lost reply.

Runs in: producers. A message is numbered by who publishes it; kombu's retries and the repeated
pipeline of a batch say the same number again, and the server knows what it has of it.
"""

from __future__ import annotations

import uuid
from itertools import count
from typing import Any

import redis
from kombu.exceptions import BatchPublishError
from kombu.utils.json import dumps

from jobmonitor.transport import facts, scripts
from jobmonitor.transport.fair_queue import publish_arguments
from jobmonitor.transport.keys import base_of
from jobmonitor.transport.scripts import script

_LOST = (redis.ConnectionError, redis.TimeoutError, OSError)


class DeliveryTag(str):
    """The delivery tag of a message that is being published: its producer and number."""

    producer: str
    number: int
    tries: int

    @classmethod
    def of(cls, producer: str, number: int) -> DeliveryTag:
        """Make the tag of a new message."""
        tag = cls(f"{producer}-{number}")
        tag.producer, tag.number, tag.tries = producer, number, 0
        return tag


class Numbers:
    """Numbers the messages of one publisher, which sends one after the other."""

    def __init__(self) -> None:
        self.producer = uuid.uuid4().hex
        self._numbers = count(1)

    def next(self) -> DeliveryTag:
        """Make the tag of the next message."""
        return DeliveryTag.of(self.producer, next(self._numbers))


def arguments_of(message: dict[str, Any], tag: DeliveryTag, *, again: bool) -> tuple[Any, ...]:
    """Say a message as publish.lua wants it."""
    return publish_arguments(
        dumps(message),
        id=tag,
        producer=tag.producer,
        number=tag.number,
        root=facts.root_of(message),
        again=again,
        low=facts.is_low(message),
        step=facts.step_of(message),
        weight=facts.weight_of(message),
        due=facts.due_of(message),
    )


class PublishBatch:
    """Messages that go out together: what kombu's `Producer.batch` works with."""

    def __init__(self, channel: Any, max_size: int) -> None:
        self.channel = channel
        self.max_size = max_size
        self._numbers = Numbers()
        self._commands: list[tuple[str, tuple[Any, ...]]] = []
        self._failed: BaseException | None = None
        self._ended = False

    def publish(self, message: dict[str, Any], **options: Any) -> Any:
        """Route one prepared message and keep what is to be sent for it."""
        self._check()
        result = self.channel.basic_publish(message, _publish_batch=self, **options)
        if len(self._commands) >= self.max_size:
            self.flush()
        return result

    def add_fair(self, queue: str, message: dict[str, Any]) -> None:
        """Keep a message for a fair queue."""
        base = base_of(self.channel.global_keyprefix, queue)
        arguments = arguments_of(message, self._numbers.next(), again=False)
        self._commands.append(("fair", (base, *arguments)))

    def add(self, name: str, *arguments: Any) -> None:
        """Keep a command for a queue or topic that is not fair."""
        self._commands.append((name, arguments))

    def flush(self) -> None:
        """Send what is kept; where the reply is lost, once more, without a second copy."""
        self._check()
        commands, self._commands = self._commands, []
        if not commands:
            return
        try:
            self._send_fair([arguments for name, arguments in commands if name == "fair"])
            self._send_others([command for command in commands if command[0] != "fair"])
        except Exception as error:
            self._failed = error
            raise BatchPublishError(
                "the batch was not published as a whole: delivery is uncertain"
            ) from error

    def discard(self) -> None:
        """Forget what was not sent."""
        self._commands, self._ended = [], True

    def close(self) -> None:
        """End it."""
        self._ended = True

    def _send_fair(self, messages: list[tuple[Any, ...]]) -> None:
        if not messages:
            return
        try:
            self._pipe_fair(messages, again=False)
        except (*_LOST, redis.ResponseError) as error:
            if scripts.is_missing(error):
                scripts.load(self.channel.fair_client)
            elif not isinstance(error, _LOST):
                raise
            self._pipe_fair(messages, again=True)

    def _pipe_fair(self, messages: list[tuple[Any, ...]], *, again: bool) -> None:
        publish = script("publish")
        with self.channel.fair_client.pipeline(transaction=False) as pipe:
            for arguments in messages:
                pipe.fcall(publish.name, 1, *_said_again(arguments, again))
            pipe.execute()

    def _send_others(self, commands: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Send once what the server could not recognize as repeated."""
        if not commands:
            return
        with (
            self.channel.conn_or_acquire() as client,
            client.pipeline(transaction=False) as pipe,
        ):
            for name, arguments in commands:
                getattr(pipe, name)(*arguments)
            pipe.execute()

    def _check(self) -> None:
        if self._ended:
            raise RuntimeError("this batch has ended")
        if self._failed is not None:
            raise BatchPublishError("this batch failed before") from self._failed


def _said_again(arguments: tuple[Any, ...], again: bool) -> tuple[Any, ...]:
    """Mark arguments as those of a repeated publish: base, now, producer, number, again, …"""
    return (*arguments[:4], int(again), *arguments[5:])
