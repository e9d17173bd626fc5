"""What a worker tells the fair transport of the messages that it was given.

Runs in: the worker's main process. A worker that says nothing is served all the same: then what
its prefetch allows are its slots, and the time from delivery to acknowledgement counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobmonitor.transport.leases import Lease
from jobmonitor.transport.process import name_process, offer_slots

__all__ = ["began", "give_back", "name_process", "offer_slots"]


def began(message: Any) -> None:
    """Say that the task of a message runs from now on: its root is charged from here.

    Nothing happens where the message came by another transport.
    """
    lease = _lease_of(message)
    if lease is not None:
        lease.begin()


def give_back(channel: Any, queues: Iterable[str], consumer: str) -> bool:
    """Give back at once what a consumer holds that is known to be gone; False: not here.

    The beat of others would do it within 45 s. On another transport nothing happens.
    """
    if getattr(channel, "fair_queue", None) is None:
        return False
    for queue in queues:
        if channel.is_fair(queue):
            channel.fair_queue(queue).leave(consumer)
    return True


def _lease_of(message: Any) -> Lease | None:
    leases = getattr(getattr(message, "channel", None), "leases", None)
    found: Lease | None = leases.get(message.delivery_tag) if leases is not None else None
    return found
