"""The raw message of kombu: read from what is kept in Redis, and refused where it is none.

Runs in: consumers. Anybody who reaches the broker can write anything into a queue; what cannot
be delivered is set aside by whoever finds it, and stops no worker.
"""

from __future__ import annotations

import time
from typing import Any

from kombu.transport import virtual
from kombu.utils.json import loads

from jobmonitor.errors import MalformedMessage
from jobmonitor.transport.facts import due_of
from jobmonitor.transport.fair_queue import Taken

#: what kombu raises where a message is not as it wrote it
_FLAWS = (KeyError, TypeError, ValueError, AttributeError, LookupError, RecursionError)


class FairMessage(virtual.Message):
    """A delivered message; raises MalformedMessage where it is none."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        try:
            super().__init__(payload, channel, **options)
        except _FLAWS as error:
            raise MalformedMessage(f"kombu cannot read it: {error!r}") from error
        if "task" in self.headers and not isinstance(self.headers.get("id"), str):
            raise MalformedMessage("the message of a task has no id")


def read(payload: str | bytes) -> dict[str, Any]:
    """Read a raw message; its body stays as it is. Raises MalformedMessage."""
    try:
        text = payload.decode() if isinstance(payload, bytes) else payload
        text.encode()  # half of a pair, or a byte that was none
        raw = loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"it is not JSON in UTF-8: {error}") from error
    if not isinstance(raw, dict):
        raise MalformedMessage(f"it is not an object, but {type(raw).__name__}")
    for name in ("properties", "headers"):
        if not isinstance(raw.get(name), dict) and (name, raw.get(name)) != ("headers", None):
            raise MalformedMessage(f"its {name} are no object")
    if not isinstance(raw["properties"].get("delivery_info"), dict):
        raise MalformedMessage("it has no delivery_info")
    raw["headers"] = raw.get("headers") or {}
    return raw


def raw_of(taken: Taken, tag: str | None = None) -> dict[str, Any]:
    """Make the raw message of kombu of what was taken, as a consumer is to see it.

    Raises MalformedMessage.
    """
    raw = read(taken.payload)
    headers, properties = raw["headers"], raw["properties"]
    if tag is not None:
        properties["delivery_tag"] = tag
    if taken.deliveries:
        headers["redelivered"] = True
        properties["delivery_info"]["redelivered"] = True
    due = due_of(raw)
    if due is not None and due > time.time() * 1000:
        headers["eta"] = None  # it is due, but a worker whose clock is slow would hold it
    return raw
