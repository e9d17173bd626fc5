"""Which queue a message goes to, as Celery's sender and the broker decide it.

Runs in: submitters and the process that runs the task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu.transport.virtual.exchange import TopicExchange

_topics = TopicExchange(None)


def queue_of(app: Celery, options: Mapping[str, Any]) -> str:
    """Name the queue of a message with these options; its routing key where none is known."""
    queue, exchange, key = _destination(app, options)
    if not exchange:
        return str(_name(queue))
    if _name(getattr(queue, "exchange", None)) == exchange:
        return str(_name(queue))
    bound = (item for item in app.amqp.queues.values() if _is_bound(item, exchange, key))
    return str(_name(next(bound, key)))


def is_for_all(app: Celery, options: Mapping[str, Any] | None) -> bool:
    """Say whether a message goes to every worker (a Broadcast queue): many runs, no one job."""
    if not options:
        return False
    queue = options.get("queue")
    if isinstance(queue, str):
        queue = app.amqp.queues.get(queue)
    exchange = _name(options.get("exchange"))
    if not exchange:
        return _type(queue) == "fanout"
    return options.get("exchange_type") == "fanout" or any(
        item.exchange.name == exchange and _type(item) == "fanout"
        for item in app.amqp.queues.values()
        if item.exchange is not None
    )


def _destination(app: Celery, options: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Queue, exchange and routing key as the sender resolves them; '' is the anonymous one."""
    queue, exchange = options.get("queue"), _name(options.get("exchange"))
    key = options.get("routing_key")
    if queue is None and exchange is None:
        queue = app.amqp.default_queue
    if isinstance(queue, str):
        queue = app.amqp.queues.get(queue, queue)
    kind = options.get("exchange_type") or _type(queue) or "direct"
    if (not exchange or not key) and kind == "direct":
        return queue if queue is not None else key, "", key
    if exchange is None:
        own = getattr(queue, "exchange", None)
        return queue, _name(own), key or getattr(queue, "routing_key", None)
    return queue, exchange, key


def _is_bound(queue: Any, exchange: str, key: Any) -> bool:
    if queue.exchange is None or queue.exchange.name != exchange:
        return False
    if queue.exchange.type == "topic":
        return bool(re.match(_topics.key_to_pattern(queue.routing_key or ""), key or ""))
    return bool(queue.exchange.type == "fanout" or queue.routing_key == key)


def _type(queue: Any) -> str | None:
    return getattr(getattr(queue, "exchange", None), "type", None)


def _name(thing: Any) -> Any:
    """A queue or exchange may come as an object."""
    return getattr(thing, "name", thing)
