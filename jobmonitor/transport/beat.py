"""The beat of a consumer's leases: what is held stays held while this process lives.

Runs in: consumers, in a native thread also where gevent has patched threads: neither greenlets
that compute nor a main thread that waits hold it up. It has a connection of its own.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import redis

from jobmonitor.greenlets import native, taken_lock
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.leases import Lease, Leases

logger = logging.getLogger(__name__)
_REFRESH_EVERY = 1.0
#: seconds that a channel has to settle itself what is owed
_SOON = 0.5
#: beats that do not name a lease any more until the server has given it back
_BEATS_UNTIL_BACK = 3


class Beat:
    """Keeps the leases of one process on one server, until the process ends."""

    def __init__(self, leases: Leases, connect: Callable[[], redis.Redis]) -> None:
        """`connect` makes a client that nobody else uses, with short timeouts."""
        self._leases = leases
        self._connect = connect
        self._stopped = taken_lock()
        self._orphans: dict[Lease, int] = {}

    def start(self) -> None:
        """Begin to beat."""
        native("_thread", "start_new_thread")(self._run, ())

    def _run(self) -> None:
        client = self._connect()
        due = 0.0
        while True:
            queues = {
                name: FairQueue(client, name, prefix=self._leases.prefix)
                for name in self._leases.queues()
            }
            try:
                self._settle_debts(queues)
                self._refresh(queues)
                if time.monotonic() >= due:
                    self._beat(queues)
                    due = time.monotonic() + self._leases.pace.beat_every
            except (redis.RedisError, OSError) as error:
                logger.debug("no beat for the leases of this process: %r", error)
                client.connection_pool.disconnect()
            self._stopped.acquire(timeout=min(_REFRESH_EVERY, self._leases.pace.beat_every))

    def _settle_debts(self, queues: dict[str, FairQueue]) -> None:
        for lease in self._leases.held():
            if lease.owed is None or lease.queue not in queues:
                continue
            if time.monotonic() - lease.owed_since > _SOON:
                lease.owed(queues[lease.queue])
                self._leases.drop(lease)

    def _refresh(self, queues: dict[str, FairQueue]) -> None:
        """Charge what runs for longer than was guessed."""
        running: dict[str, list[tuple[int, float]]] = {}
        for lease in self._leases.held():
            elapsed = lease.elapsed
            if elapsed > lease.guess and lease.owed is None and lease.queue in queues:
                running.setdefault(lease.queue, []).append((lease.number, elapsed))
        for name, jobs in running.items():
            queues[name].refresh(self._leases.consumer, jobs)

    def _beat(self, queues: dict[str, FairQueue]) -> None:
        pace = self._leases.pace
        held = [lease for lease in self._leases.held() if self._is_wanted(lease)]
        for name, queue in queues.items():
            own = {lease.number: lease for lease in held if lease.queue == name}
            lost = queue.beat(
                self._leases.consumer, own, slots=self._leases.slots(),
                lost_after=pace.lost_after * 1000,
                pass_every=pace.beat_every * 900,  # so that a beat a little early is one too
            )  # fmt: skip
            for number in lost:
                self._is_lost(own[number])
        self._leases.last_beat = time.monotonic()

    def _is_wanted(self, lease: Lease) -> bool:
        """Whether to keep it: it is on its way, or somebody may still settle it."""
        if not lease.orphaned or is_running(lease):
            self._orphans.pop(lease, None)
            return True
        self._orphans[lease] = self._orphans.get(lease, 0) + 1
        if self._orphans[lease] > _BEATS_UNTIL_BACK:
            del self._orphans[lease]
            self._leases.drop(lease)
        return False

    def _is_lost(self, lease: Lease) -> None:
        if self._leases.get(lease.tag) is not lease:
            return  # it was settled meanwhile
        self._leases.drop(lease)
        logger.warning(
            "a message of root %s was given to somebody else: this process was not heard of "
            "for too long", lease.root
        )  # fmt: skip


def is_running(lease: Lease) -> bool:
    """Say whether the message of a closed channel is still being worked on.

    In a Celery worker that is what its pool has begun: what it had only received it forgets
    with the connection. Elsewhere it is what somebody still has.
    """
    message = lease.message() if lease.message is not None else None
    if message is None:
        return False
    state: Any = sys.modules.get("celery.worker.state")
    if state is None:
        return True
    try:
        return any(request.message is message for request in list(state.active_requests))
    except RuntimeError:  # the set grew while it was looked at; the next beat looks again
        return True
