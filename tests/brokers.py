"""Broker URLs of tests: the fair transport, and the same server for plain clients."""

from __future__ import annotations


def fair(redis_url: str) -> str:
    """The URL with which Celery uses the fair transport on a Redis."""
    return redis_url.replace("redis://", "fair-redis://", 1)


def redis_of(broker_url: str) -> str:
    """The Redis behind a broker URL, for results and clients."""
    return broker_url.removeprefix("fair-")
