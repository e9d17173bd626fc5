"""What loads the server: messages as Celery writes them, and consumers with connections."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice

import redis
from celery import Celery

from jobmonitor.transport.fair_queue import FairQueue, Taken, publish_arguments
from jobmonitor.transport.scripts import script
from tests.brokers import fair

QUEUE = "celery"
_AT_ONCE = 1_000


class Publisher:
    """Publishes copies of one message of Celery, each with an id of its own."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self.queue = FairQueue(self.client, QUEUE)
        self._text = _message_of_celery(url, self.queue)
        message = json.loads(self._text)
        self._ids = (message["headers"]["id"], str(message["properties"]["delivery_tag"]))
        self._producer, self._number = uuid.uuid4().hex, 0

    def publish(self, root: str) -> None:
        """Publish one."""
        self._number += 1
        self.queue.publish(
            self._next(), id=self._id, producer=self._producer, number=self._number, root=root
        )

    def fill(self, roots: Iterable[str]) -> int:
        """Publish one for each of these roots, in pipelines; the bytes of the messages."""
        left, length = iter(roots), 0
        while some := list(islice(left, _AT_ONCE)):
            with self.client.pipeline(transaction=False) as pipe:
                for root in some:
                    self._number += 1
                    text = self._next()
                    length += len(text)
                    arguments = publish_arguments(
                        text, id=self._id, producer=self._producer, number=self._number,
                        root=root, again=False, low=False, step=0, weight=None, due=None,
                    )  # fmt: skip
                    pipe.fcall(script("publish").name, 1, self.queue.base, *arguments)
                pipe.execute()
        return length

    @property
    def _id(self) -> str:
        return f"{self._producer}-{self._number}"

    def _next(self) -> str:
        text = self._text.replace(self._ids[0], str(uuid.UUID(int=self._number)))
        return text.replace(self._ids[1], self._id)


class Consumer:
    """One that holds a message at a time, on a connection of its own."""

    def __init__(self, url: str, name: str) -> None:
        self._client = redis.Redis.from_url(url, single_connection_client=True)
        self._queue = FairQueue(self._client, QUEUE)
        self._name, self._request = name, 0
        self._held: Taken | None = None

    def take(self) -> str:
        """Take a message; its root."""
        self._request += 1
        self._held, _ = self._queue.take(self._name, self._request)
        if self._held is None:
            raise RuntimeError("the backlog did not last")
        return self._held.root

    def ack(self, elapsed: float) -> None:
        """End what it holds."""
        held = self._held
        if held is not None:
            self._queue.ack(self._name, held.lease, elapsed, root=held.root, low=held.low)
        self._held = None

    def beat(self) -> None:
        """Say that it lives."""
        self._queue.beat(self._name, [self._held.lease] if self._held else [])

    def close(self) -> None:
        """End its connection."""
        self._client.close()


def roots_of(count: int, roots: int) -> Iterator[str]:
    """Name the root of each message: the roots in turns."""
    for number in range(count):
        yield f"root-{number % roots}"


def _message_of_celery(url: str, queue: FairQueue) -> str:
    app = Celery("bench-scale", broker=fair(url), set_as_current=False)
    app.send_task("bench.nothing", (1,), root_id="one", ignore_result=True)
    app.close()
    with redis.Redis.from_url(url, decode_responses=True) as client:
        text = str(client.lindex(f"{queue.base}r:one", 0))
    queue.delete()
    return text.split("\n", 1)[1]
