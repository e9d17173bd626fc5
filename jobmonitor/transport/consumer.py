"""What a worker tells the fair transport of the messages that it was given.

Runs in: the worker's main process. A worker that says nothing is served all the same: the time
from delivery to acknowledgement counts then.
"""

from __future__ import annotations

from typing import Any

from jobmonitor.transport.leases import Lease


def began(message: Any) -> None:
    """Say that the task of a message runs from now on: its root is charged from here.

    Nothing happens where the message came by another transport.
    """
    lease = _lease_of(message)
    if lease is not None:
        lease.begin()


def _lease_of(message: Any) -> Lease | None:
    leases = getattr(getattr(message, "channel", None), "leases", None)
    found: Lease | None = leases.get(message.delivery_tag) if leases is not None else None
    return found
