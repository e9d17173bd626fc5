"""Who is told, in this process, of what happens to a queue as a whole.

Runs in: whoever purges, and consumers. The transport knows nothing of records; who keeps them
listens here. A listener must not wait, and is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_adopted: list[Callable[[str, list[dict[str, Any]]], Any]] = []
_purged: list[Callable[[Any, str], Any]] = []


def on_adopted(listener: Callable[[str, list[dict[str, Any]]], Any]) -> None:
    """Tell of raw messages of plain producers that joined a queue: its name, the messages."""
    _adopted.append(listener)


def on_purged(listener: Callable[[Any, str], Any]) -> None:
    """Tell of a queue whose messages were removed: the channel that did it, its name."""
    _purged.append(listener)


def tell_adopted(queue: str, messages: list[dict[str, Any]]) -> None:
    """Say what joined a queue."""
    for listener in _adopted:
        listener(queue, messages)


def tell_purged(channel: Any, queue: str) -> None:
    """Say that a queue was purged."""
    for listener in _purged:
        listener(channel, queue)
