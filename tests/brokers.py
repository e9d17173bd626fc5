"""Broker URLs of tests: the fair transport, and the same server for plain clients."""

from __future__ import annotations

from typing import Any

import redis

from jobmonitor.transport.keys import base_of


def fair(redis_url: str) -> str:
    """The URL with which Celery uses the fair transport on a Redis."""
    return redis_url.replace("redis://", "fair-redis://", 1)


def redis_of(broker_url: str) -> str:
    """The Redis behind a broker URL, for results and clients."""
    return broker_url.removeprefix("fair-")


def left_in(client: redis.Redis, queue: str = "celery") -> int:
    """Count what waits in a queue, due or not by stock Celery, and what is held of it."""
    with client.pipeline(transaction=False) as pipe:
        pipe.llen(queue)
        pipe.hlen("unacked")
        pipe.hmget(f"{base_of('', queue)}meta", "waiting", "low:waiting", "inflight")
        waiting, held, counts = pipe.execute()
    fair: list[Any] = counts
    return int(waiting) + int(held) + sum(int(count or 0) for count in fair)
