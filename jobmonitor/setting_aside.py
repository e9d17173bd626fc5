"""Messages that were set aside because nobody could deliver them, and queues that are given up.

Runs in: command line, whoever asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from celery import Celery

from jobmonitor.broker import fair_channel
from jobmonitor.transport.consumer import Quarantined, give_away, quarantine_of

_LIMIT = 100
_QUARANTINED = "looked at for what was set aside"


class SettingAside:
    """The quarantines of an app's queues."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def entries(self, queue: str, limit: int = _LIMIT) -> list[Quarantined]:
        """List what was set aside, the last first, at most `limit`.

        Raises ConfigurationError on a broker that is not ours, and QueueNotFound.
        """
        with fair_channel(self._app, queue, _QUARANTINED) as channel:
            return quarantine_of(channel, queue).entries(limit)

    def message(self, queue: str, id: str) -> bytes | None:
        """Read a message that was set aside as it came; None: there is none of this name."""
        with fair_channel(self._app, queue, _QUARANTINED) as channel:
            return quarantine_of(channel, queue).message(id)

    def put_back(self, queue: str, ids: Iterable[str]) -> list[str]:
        """Let messages be delivered once more; which that were."""
        with fair_channel(self._app, queue, _QUARANTINED) as channel:
            quarantine = quarantine_of(channel, queue)
            return [id for id in ids if quarantine.put_back(id, _root(quarantine, id))]

    def drop(self, queue: str, ids: Iterable[str]) -> list[str]:
        """Remove messages for good; which that were."""
        with fair_channel(self._app, queue, _QUARANTINED) as channel:
            quarantine = quarantine_of(channel, queue)
            return [id for id in ids if quarantine.drop(id)]

    def give_away(self, queue: str) -> int:
        """Hand what waits over to kombu's own lists, for workers on plain `redis://`.

        How much that was; what runs goes on, what was set aside stays. For going back to the
        transport of kombu, when the workers on this one are stopped.
        """
        with fair_channel(self._app, queue, "drained") as channel:
            return give_away(channel, queue)


def _root(quarantine: Any, id: str) -> str:
    """The root that a message names, or its own; a message that is no JSON has none."""
    try:
        headers = json.loads(quarantine.message(id) or b"")["headers"]
        root = headers.get("root_id") or headers.get("id")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        root = None
    return root if isinstance(root, str) and root else id
