"""What those who use the fair transport through kombu say to it beside kombu's own words.

Runs in: the worker's main process, and whoever steers. A worker that says nothing is served all
the same: then what its prefetch allows are its slots, and the time from delivery to
acknowledgement counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobmonitor.transport import adoption
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.gate import ALWAYS_OPEN
from jobmonitor.transport.leases import Lease
from jobmonitor.transport.listeners import on_adopted, on_purged
from jobmonitor.transport.process import name_process, offer_slots
from jobmonitor.transport.quarantine import Quarantine, Quarantined

__all__ = [
    "Quarantined", "began", "can_steer", "defer", "give_away", "give_back", "is_leased",
    "name_process", "offer_slots", "on_adopted", "on_purged", "quarantine", "quarantine_of",
    "steer",
]  # fmt: skip


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
        found = steer(channel, queue)
        if found is not None:
            found.leave(consumer)
    return True


def can_steer(connection: Any) -> bool:
    """Say whether the queues of a kombu connection may be in fair order; nothing connects."""
    return hasattr(connection.transport.Channel, "fair_queue")


def steer(channel: Any, queue: str) -> FairQueue | None:
    """Return the queue whose waiting messages can be steered; None: it is not in fair order."""
    if getattr(channel, "fair_queue", None) is None or not channel.is_fair(queue):
        return None
    found: FairQueue = channel.fair_queue(queue)
    return found


def quarantine_of(channel: Any, queue: str) -> Quarantine:
    """Look into the quarantine of a fair queue."""
    return Quarantine(channel.fair_queue(queue))


def give_away(channel: Any, queue: str) -> int:
    """Hand what waits in a fair queue over to kombu's own lists; how much that was."""
    lists = channel.stock_lists(queue)
    steps: dict[int, str] = dict(zip(channel.priority_steps, lists, strict=True))
    fair = channel.fair_queue(queue, ALWAYS_OPEN)
    return adoption.give_away(fair, lambda step: steps.get(step, str(lists[0])))


def is_leased(message: Any) -> bool:
    """Say whether a delivered message came by the fair transport, and is not settled."""
    return _lease_of(message) is not None


def quarantine(message: Any, reason: str) -> bool:
    """Set a delivered message aside with a reason; False: it came by another transport."""
    if _lease_of(message) is None:
        return False
    message.channel.qos.set_aside(message.delivery_tag, reason)
    message._state = "REJECTED"
    return True


def defer(message: Any, seconds: float) -> bool:
    """Give a delivered message back for some time; False: it came by another transport."""
    if _lease_of(message) is None:
        return False
    message.channel.qos.defer(message.delivery_tag, seconds * 1000)
    message._state = "REJECTED"
    return True


def _lease_of(message: Any) -> Lease | None:
    leases = getattr(getattr(message, "channel", None), "leases", None)
    found: Lease | None = leases.get(message.delivery_tag) if leases is not None else None
    return found
