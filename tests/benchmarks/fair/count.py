"""The fair transport charging by count, for comparison: each job costs the same.

So do the queues that others offer: they take turns between roots and look at no clock.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.objects import cached_property

from jobmonitor.transport import alias, transports
from jobmonitor.transport.fair_queue import Taken
from jobmonitor.transport.leases import Lease, Leases


class CountedLease(Lease):
    """One delivery that costs what a job costs of which nothing is known."""

    __slots__ = ()

    @property
    def elapsed(self) -> float:
        """The same for each; a longer run is never charged, neither while it runs nor later."""
        return 100.0


class CountingLeases(Leases):
    """The leases of a process whose deliveries cost the same."""

    def took(self, queue: str, taken: Taken) -> Lease:
        """Hold what was taken."""
        lease = super().took(queue, taken)
        lease.__class__ = CountedLease
        return lease


class Channel(transports.Channel):
    """A channel whose deliveries cost the same."""

    @cached_property
    def leases(self) -> Any:
        """What this process holds."""
        leases: Any = super().leases
        leases.__class__ = CountingLeases
        return leases


class Transport(transports.Transport):
    """count-redis://"""

    Channel = Channel


def register() -> None:
    """Name it, and ours, to kombu."""
    alias.register()
    TRANSPORT_ALIASES["count-redis"] = f"{__name__}:Transport"
