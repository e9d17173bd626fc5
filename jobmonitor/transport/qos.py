"""What a channel has delivered and not settled: leases for fair queues, kombu's own for others.

Runs in: consumers. A lease belongs to the process: an ack counts also when the channel that
brought the message is long gone, and nothing that still runs goes back with a connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual

from jobmonitor.transport.leases import Lease, Leases, is_fair_tag
from jobmonitor.transport.running import is_in_celery_worker, is_running, keep_begun


class FairQoS(stock.QoS):
    """Settles leases by their delivery tags."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Hold a delivered message."""
        if is_fair_tag(delivery_tag):
            self.channel.leases.carried_by(message, delivery_tag)
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """End a lease; what was given to somebody else meanwhile is not ours to end."""
        if not self._settle(delivery_tag, requeue=False):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or give it back to the front of its root."""
        if not self._settle(delivery_tag, requeue=requeue):
            super().reject(delivery_tag, requeue)

    def set_aside(self, delivery_tag: str, reason: str) -> None:
        """Put a leased message into the quarantine."""
        self._end(delivery_tag, lambda leases, lease: leases.quarantine(lease, reason))

    def defer(self, delivery_tag: str, delay: float) -> None:
        """Give a leased message back until in `delay` ms."""
        self._end(delivery_tag, lambda leases, lease: leases.defer(lease, delay))

    def restore_unacked(self, client: Any = None) -> None:
        """Give back everything that this channel has not settled."""
        self._flush()
        tags = [tag for tag in self._delivered if is_fair_tag(tag)]
        if tags:
            self.channel.leases.give_back(filter(None, map(self.channel.leases.get, tags)))
        for tag in tags:
            del self._delivered[tag]
        super().restore_unacked(client)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """At the end of a channel, give back what does not run, if its connection is well.

        Where the connection broke, the beat gives it back once it is sure of that.
        """
        self._on_collect.cancel()
        self._flush()
        tags = [tag for tag in self._delivered if is_fair_tag(tag)]
        held = [lease for tag in tags if (lease := self.channel.leases.get(tag)) is not None]
        for tag in tags:
            del self._delivered[tag]
        keep_begun(held)
        for lease in held:
            lease.orphaned = True
        if held and not self.channel.is_broken and self.channel.do_restore:
            self.channel.leases.give_back(lease for lease in held if not _may_run(lease))
        super().restore_unacked_once(stderr)

    def restore_visible(self, start: int = 0, num: int = 100, interval: int = 10) -> None:
        """Put what workers on kombu's own transport left behind back into its lists.

        From there it joins the fair order. Nothing of ours is given back because of its age.
        """
        super().restore_visible(start=start, num=num, interval=interval)

    def _end(self, delivery_tag: str, end: Callable[[Leases, Lease], Any]) -> None:
        leases = self.channel.leases
        lease = leases.get(delivery_tag)
        if lease is not None and lease.owed is None:
            end(leases, lease)
        virtual.QoS.ack(self, delivery_tag)

    def _settle(self, delivery_tag: str, *, requeue: bool) -> bool:
        if not is_fair_tag(delivery_tag):
            return False
        leases = self.channel.leases
        lease = leases.get(delivery_tag)
        if lease is None or lease.owed is not None:
            pass
        elif requeue:
            leases.requeue(lease)
        elif self.channel.settles_later():
            self.channel.settle(lease)
        else:
            leases.ack(lease)
        virtual.QoS.ack(self, delivery_tag)
        return True


def _may_run(lease: Lease) -> bool:
    """Whether a Celery worker runs it; others are done with what they did not settle."""
    return is_in_celery_worker() and is_running(lease)
