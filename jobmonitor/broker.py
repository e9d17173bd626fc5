"""A connection to the broker for who looks and steers: it fails soon, and by one error.

Runs in: panel, command line, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from jobmonitor.errors import ConfigurationError, QueueNotFound

_PATIENCE = 2.0


@contextmanager
def connected(app: Celery) -> Iterator[Any]:
    """Lend a connection; raises OperationalError where the broker is away."""
    with app.connection_or_acquire() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=_PATIENCE)
            yield connection
        except connection.connection_errors as error:
            raise OperationalError(str(error)) from error


@contextmanager
def fair_channel(app: Celery, queue: str, what: str) -> Iterator[Any]:
    """Lend a channel on which a queue is in fair order, one that is known or declared.

    Raises ConfigurationError on another broker, which says what cannot be done; QueueNotFound.
    """
    with connected(app) as connection:
        channel = connection.default_channel
        if not is_fair(channel, queue):
            raise ConfigurationError(
                f"the queue {queue!r} cannot be {what}: that needs the fair transport, "
                "fair-redis://"
            )
        known = app.amqp.queues
        if queue not in known and not channel.fair_queue(queue).is_declared():
            raise QueueNotFound(queue, sorted(known))
        yield channel


def is_fair(channel: Any, queue: str) -> bool:
    """Say whether a queue is in fair order on this broker."""
    return getattr(channel, "fair_queue", None) is not None and channel.is_fair(queue)
