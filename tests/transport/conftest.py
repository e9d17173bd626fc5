"""What the tests of the transport share: queues of their own, and worlds of plain workers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue
from tests.brokers import redis_of
from tests.transport.conversation import Conversation
from tests.transport.world import World


class Clock:
    """The ms that it is."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def client(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_of(broker_url), decode_responses=True) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(client: redis.Redis, clock: Clock) -> FairQueue:
    return FairQueue(client, uuid.uuid4().hex, clock=clock)


@pytest.fixture(scope="module")
def world(broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on the Redis of the tests, for modules that do not harm that server."""
    with World(broker_url, tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def fair_talk(broker_url: str) -> Iterator[Conversation]:
    """kombu on the fair transport."""
    conversation = Conversation(broker_url)
    yield conversation
    conversation.close()


@pytest.fixture(params=["fair-redis", "redis"])
def talk(request: pytest.FixtureRequest, broker_url: str) -> Iterator[Conversation]:
    """kombu on the fair transport, and on its own: the story is the same."""
    is_fair = request.param == "fair-redis"
    conversation = Conversation(broker_url if is_fair else redis_of(broker_url))
    yield conversation
    conversation.close()
