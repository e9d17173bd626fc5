"""The beat of a consumer's leases: what is held stays held while this process lives.

Runs in: consumers, in a native thread also where gevent has patched threads: neither greenlets
that compute nor a main thread that waits hold it up. It has a connection of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import redis

from jobmonitor.greenlets import native, taken_lock
from jobmonitor.transport.adoption import adopt
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.leases import Lease, Leases
from jobmonitor.transport.running import is_running

logger = logging.getLogger(__name__)
_REFRESH_EVERY = 1.0
#: at most so many times a hundred messages join a queue in one round
_ADOPTIONS = 20
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
        pace, due = self._leases.pace, 0.0
        while True:
            is_due = time.monotonic() >= due
            if self._look_after_all(client, with_beat=is_due) and is_due:
                due = time.monotonic() + pace.beat_every
            self._stopped.acquire(timeout=min(_REFRESH_EVERY, pace.beat_every))

    def _look_after_all(self, client: redis.Redis, *, with_beat: bool) -> bool:
        """Do what is to be done on each queue; False where that failed.

        A queue that is refused, by a rule for its keys say, does not cost the leases of others.
        """
        is_done = True
        for name in self._leases.queues():
            queue = FairQueue(client, name, prefix=self._leases.prefix)
            try:
                with self._leases.beating:
                    self._look_after(name, queue, with_beat=with_beat)
            except (redis.RedisError, OSError) as error:
                logger.debug("no beat for the leases of queue %s: %r", name, error)
                client.connection_pool.disconnect()
                is_done = False
                if not isinstance(error, redis.ResponseError):
                    break
        return is_done

    def _look_after(self, name: str, queue: FairQueue, *, with_beat: bool) -> None:
        if name not in self._leases.queues():
            return  # it was deleted meanwhile
        held = [lease for lease in self._leases.held() if lease.queue == name]
        self._adopt(name, queue)
        self._settle_debts(queue, held)
        self._refresh(queue, held)
        if with_beat:
            self._beat(name, queue, held)

    def _adopt(self, name: str, queue: FairQueue) -> None:
        """Let join what plain producers have pushed, also while all slots are busy."""
        lists = self._leases.stock_lists(name)
        try:
            left = _ADOPTIONS if queue.client.exists(*lists) else 0
            while left and adopt(queue, lists):
                left -= 1
        except redis.ResponseError as error:  # a key of that name is something else, say
            logger.debug("nothing joins queue %s: %r", name, error)

    def _settle_debts(self, queue: FairQueue, held: list[Lease]) -> None:
        for lease in held:
            if lease.owed is not None and time.monotonic() - lease.owed_since > _SOON:
                lease.owed(queue)
                self._leases.drop(lease)

    def _refresh(self, queue: FairQueue, held: list[Lease]) -> None:
        """Charge what runs for longer than was guessed."""
        running = [
            (lease.number, elapsed)
            for lease in held
            if lease.owed is None and (elapsed := lease.elapsed) > lease.guess
        ]
        if running:
            queue.refresh(self._leases.consumer, running)

    def _beat(self, name: str, queue: FairQueue, held: list[Lease]) -> None:
        pace = self._leases.pace
        own = {lease.number: lease for lease in held if self._is_wanted(lease)}
        lost = queue.beat(
            self._leases.consumer, own, slots=self._leases.slots(),
            lost_after=pace.lost_after * 1000,
            pass_every=pace.beat_every * 900,  # so that a beat a little early is one too
        )  # fmt: skip
        for number in lost:
            self._is_lost(own[number])
        self._leases.has_beaten(name)

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
