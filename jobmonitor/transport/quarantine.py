"""The quarantine of a queue: messages that cannot be delivered, kept with the reason.

Runs in: consumers put into it; whoever looks after the queue lists it, puts back or drops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.scripts import script

_SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message in the quarantine; `since` is ms of Redis' clock, `size` bytes."""

    id: str
    since: float
    reason: str
    deliveries: int
    size: int


class Quarantine:
    """The messages of one queue that were set aside."""

    def __init__(self, queue: FairQueue) -> None:
        self._client = queue.client
        self._base = queue.base

    def keep_lease(self, consumer: str, lease: int, reason: str) -> bool:
        """Set aside what is leased; False: it was not out any more."""
        return self._keep(reason, "lease", consumer, lease)

    def keep_listed(self, stock_list: str, message: bytes, reason: str) -> bool:
        """Set aside the front of a list of kombu's own transport; False: it was not there."""
        return self._keep(reason, "list", stock_list, message)

    def keep(self, message: str | bytes, reason: str) -> None:
        """Set aside what was taken for good."""
        self._keep(reason, "given", message)

    def size(self) -> int:
        """Count what is in it."""
        return int(self._client.zcard(f"{self._base}quarantined"))

    def entries(self, limit: int = 100) -> list[Quarantined]:
        """List what is in it, what was set aside last first; messages are not read."""
        name = f"{self._base}quarantined"
        found: Any = self._client.zrevrange(name, 0, limit - 1, withscores=True)
        with self._client.pipeline(transaction=False) as pipe:
            for id, _ in found:
                pipe.hget(f"{self._base}quarantine", id)
                pipe.hstrlen(f"{self._base}quarantine_messages", id)
            told = pipe.execute()
        facts = zip(found, told[::2], told[1::2], strict=True)
        return [
            _entry(_text(id), since, text, size) for (id, since), text, size in facts if text
        ]

    def message(self, id: str) -> bytes | None:
        """Read a message as it came."""
        found: Any = self._client.hget(f"{self._base}quarantine_messages", id)
        return found.encode() if isinstance(found, str) else found

    def put_back(self, id: str, root: str) -> bool:
        """Let a message be delivered once more; False: there is none of this name.

        `root` is for one that was set aside before its root was known.
        """
        return bool(script("reinstate").run(self._client, self._base, "", id, root))

    def drop(self, id: str) -> bool:
        """Remove a message for good; False: there is none of this name."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hdel(f"{self._base}quarantine", id)
            pipe.hdel(f"{self._base}quarantine_messages", id)
            pipe.zrem(f"{self._base}quarantined", id)
            return bool(pipe.execute()[0])

    def _keep(self, reason: str, place: str, *where: Any) -> bool:
        told = reason.encode("utf-8", "replace")[:_SHOWN_MAX]
        return bool(script("quarantine").run(self._client, self._base, "", told, place, *where))


def _entry(id: str, since: float, text: bytes | str, size: int) -> Quarantined:
    raw = text.encode() if isinstance(text, str) else text
    _, deliveries, length, rest = raw.split(b" ", 3)
    reason = rest[int(length) :].decode("utf-8", "replace")
    return Quarantined(id, since, reason, int(deliveries), size)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
