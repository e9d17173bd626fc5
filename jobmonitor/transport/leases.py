"""What this process holds of a server's fair queues: a lease a delivery, until it is settled.

Runs in: consumers; one `Leases` a process and server, whatever becomes of its connections. A
lease is kept alive by the beat (beat.py), not by a time limit: a job may run for days. What
could not be settled because the server was away is settled by the beat when it is back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, WeakSet, ref

import redis

from jobmonitor.failpoints import reach
from jobmonitor.greenlets import native
from jobmonitor.transport.fair_queue import FairQueue, Taken, ack_arguments
from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.quarantine import Quarantine

_TAG = "fair:"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a consumer beats, and after how long without a beat it is lost; seconds.

    All consumers of a queue are to have the same.
    """

    beat_every: float = 5.0
    lost_after: float = 30.0

    @property
    def fenced_after(self) -> float:
        """Without a beat for so long it takes no more work: others may soon take it over."""
        return 0.6 * self.lost_after


@dataclass(slots=True, eq=False)
class Lease:
    """One delivery; `tag` is kombu's delivery tag of it."""

    queue: str
    number: int
    root: str
    low: bool
    guess: float
    tag: str
    since: float
    until: float | None = None
    message: ReferenceType[Any] | None = None
    orphaned: bool = False
    owed: Callable[[FairQueue], Any] | None = field(default=None, repr=False)
    owed_since: float = 0.0
    ack_arguments: tuple[Any, ...] = ()

    def begin(self) -> None:
        """Start its clock anew: a worker runs it from now on."""
        self.since = time.monotonic()

    def end(self) -> None:
        """Stop its clock: what follows is not the task's own time."""
        self.until = time.monotonic()

    @property
    def elapsed(self) -> float:
        """How long it has run, in ms."""
        return ((self.until or time.monotonic()) - self.since) * 1000


class Leases:
    """The leases of this process on one server."""

    def __init__(
        self, client: redis.Redis, consumer: str, *, prefix: str, floor: float, gate: LowGate,
        pace: Pace, beat: Callable[[Leases], Any], stock_lists: Callable[[str], list[str]],
        slots: Callable[[], int] | None = None,
    ) -> None:  # fmt: skip
        """`consumer` names this process; `beat` is called once, before the first take.

        `stock_lists` names the lists that kombu's own transport has for a queue.
        `slots` says how many messages it runs at once; without it the prefetch counts.
        """
        self.consumer = consumer
        self.floor = floor
        self.gate = gate
        self.prefix = prefix
        self.pace = pace
        self.stock_lists = stock_lists
        self._client = client
        self._start_beat = beat
        self._slots = slots
        self._limits: WeakSet[Any] = WeakSet()
        self._beats = False
        self._lock = native("_thread", "allocate_lock")()
        #: held while the beat does something on one queue
        self.beating = native("_thread", "allocate_lock")()
        self._held: dict[str, Lease] = {}
        self._queues: dict[str, FairQueue] = {}
        #: monotonic time of the last beat that the server answered, or of the first look
        self._beaten: dict[str, float] = {}
        self._requests = 0
        self._deliveries = 0
        self._unanswered: dict[str, list[int]] = {}

    # -- taking ----------------------------------------------------------------------------

    def queue(self, name: str) -> FairQueue:
        """Return the queue of this name on this server."""
        if name not in self._queues:
            self._queues[name] = FairQueue(
                self._client, name, prefix=self.prefix, floor=self.floor
            )
        return self._queues[name]

    def consumes(self, queue: str) -> None:
        """Be known as a consumer of a queue: its beat looks after it, its messages wake us."""
        self.queue(queue)
        with self._lock:
            self._beaten.setdefault(queue, time.monotonic())
            if not self._beats:
                self._beats = True
                self._start_beat(self)

    def limited_by(self, qos: Any) -> None:
        """Know the prefetch of a channel that consumes: it counts where nobody says more."""
        with self._lock:
            self._limits.add(qos)

    def slots(self) -> int:
        """How many messages this process runs at once; without a limit it counts as one."""
        if self._slots is not None:
            return self._slots()
        with self._lock:
            limits = list(self._limits)
        return max(sum(qos.prefetch_count for qos in limits if qos.channel.consumes()), 1)

    def request(self, queue: str) -> int:
        """Number the next take; one whose reply was lost is asked again by its number."""
        self.consumes(queue)
        with self._lock:
            if self._unanswered.get(queue):
                return self._unanswered[queue].pop()
            self._requests += 1
            return self._requests

    def unanswered(self, queue: str, request: int) -> None:
        """Note that the reply of a take was lost."""
        with self._lock:
            self._unanswered.setdefault(queue, []).append(request)

    def took(self, queue: str, taken: Taken) -> Lease:
        """Hold what was taken."""
        reach("taken")
        with self._lock:
            self._deliveries += 1
            # a fail-over that lost writes may give the number of a lease once more
            tag = f"{_TAG}{self._deliveries}:{taken.lease}:{queue}"
            lease = Lease(
                queue, taken.lease, taken.root, taken.low, taken.guess, tag, time.monotonic()
            )
            self._held[tag] = lease
        return lease

    def forget(self, queue: str) -> None:
        """Have nothing more to do with a queue that is being deleted."""
        with self.beating, self._lock:
            self._queues.pop(queue, None)
            self._beaten.pop(queue, None)
            self._unanswered.pop(queue, None)
            for tag in [tag for tag, lease in self._held.items() if lease.queue == queue]:
                del self._held[tag]

    def has_beaten(self, queue: str) -> None:
        """Note that the server has heard of us."""
        with self._lock:
            if queue in self._queues:
                self._beaten[queue] = time.monotonic()

    def is_fenced(self, queue: str) -> bool:
        """Whether the server has not heard of us for so long that it may give us up."""
        last = self._beaten.get(queue)
        return last is not None and time.monotonic() - last > self.pace.fenced_after

    # -- held ------------------------------------------------------------------------------

    def get(self, tag: str) -> Lease | None:
        """Find a lease by kombu's delivery tag; None for what is not, or no more, leased."""
        return self._held.get(tag)

    def carried_by(self, message: Any, tag: str) -> None:
        """Remember the message of a lease: while somebody has it, it may be settled."""
        lease = self._held.get(tag)
        if lease is not None:
            lease.message = ref(message)

    def held(self) -> list[Lease]:
        """List what is held now."""
        with self._lock:
            return list(self._held.values())

    def queues(self) -> dict[str, FairQueue]:
        """Return the queues that were used so far."""
        with self._lock:
            return dict(self._queues)

    def drop(self, lease: Lease) -> None:
        """Hold it no more."""
        with self._lock:
            self._held.pop(lease.tag, None)

    # -- settling --------------------------------------------------------------------------

    def ack(self, lease: Lease) -> None:
        """End it and charge its root; where the server is away the beat does it later."""
        self._settle(lease, self._ack_of(lease))

    def owe_ack(self, lease: Lease) -> None:
        """Stop its clock; somebody ends it soon, and if not, the beat does."""
        lease.owed, lease.owed_since = self._ack_of(lease), time.monotonic()

    def _ack_of(self, lease: Lease) -> Callable[[FairQueue], Any]:
        reach("before_transport_ack")
        elapsed, root, low = lease.elapsed, lease.root, lease.low
        lease.ack_arguments = ack_arguments(self.consumer, lease.number, elapsed, root, low)
        return lambda queue: queue.ack(self.consumer, lease.number, elapsed, root=root, low=low)

    def requeue(self, lease: Lease) -> None:
        """Give it back to the front of its root; where the server is away the beat does it."""
        elapsed = lease.elapsed
        self._settle(lease, lambda queue: queue.requeue(self.consumer, lease.number, elapsed))

    def quarantine(self, lease: Lease, reason: str) -> None:
        """Set it aside; where the server is away the beat does it."""
        self._settle(
            lease,
            lambda queue: Quarantine(queue).keep_lease(self.consumer, lease.number, reason),
        )

    def defer(self, lease: Lease, delay: float) -> None:
        """Give it back until in `delay` ms; where the server is away the beat does it."""
        self._settle(lease, lambda queue: queue.defer(self.consumer, lease.number, delay))

    def pay(self, lease: Lease) -> None:
        """Settle what is owed, now."""
        if lease.owed is not None:
            self._settle(lease, lease.owed)

    def _settle(self, lease: Lease, settle: Callable[[FairQueue], Any]) -> None:
        try:
            settle(self.queue(lease.queue))
        except (redis.RedisError, OSError):
            lease.owed, lease.owed_since = settle, time.monotonic()
        else:
            self.drop(lease)

    def leave(self) -> None:
        """Be a consumer no more, where nothing is held any more."""
        if not self.held():
            for queue in self.queues().values():
                queue.leave(self.consumer)

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Give back several, so that the one that was delivered first is in front again."""
        for lease in reversed(list(leases)):
            if lease.owed is None:
                self.requeue(lease)


def is_fair_tag(tag: str) -> bool:
    """Say whether kombu's delivery tag is that of a lease."""
    return str(tag).startswith(_TAG)
