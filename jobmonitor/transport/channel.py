"""A kombu channel whose task queues are in fair order; all others are as on stock Redis.

Runs in: producers and consumers. Replies, remote control and events stay with kombu: they are
for one listener, and nothing of them is worth a lease.
"""

from __future__ import annotations

import re
from typing import Any

import redis
from kombu.utils.objects import cached_property

from jobmonitor.errors import MalformedMessage
from jobmonitor.transport.adoption import adopt, stock_lists
from jobmonitor.transport.envelope import FairMessage, raw_of
from jobmonitor.transport.fair_queue import FairQueue, Taken
from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.inspection import Inspection
from jobmonitor.transport.leases import Leases
from jobmonitor.transport.listeners import tell_purged
from jobmonitor.transport.options import NAMES, check
from jobmonitor.transport.process import leases_of
from jobmonitor.transport.publishing import DeliveryTag, Numbers, PublishBatch, arguments_of
from jobmonitor.transport.qos import FairQoS
from jobmonitor.transport.refusals import refusing
from jobmonitor.transport.scripts import script
from jobmonitor.transport.taking import Taking

#: queues of one listener: remote control, events, and the replies to one client
_NOT_FAIR = re.compile(
    r".*\.pidbox|celeryev\..*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL
)


class FairChannel(Taking):
    """What differs from kombu's Redis channel; comes before it."""

    QoS = FairQoS
    Message = FairMessage
    #: share of the capacity that roots served before keep, however many new ones arrive
    fair_floor = 0.05
    #: seconds between two beats of the leases, and without one until they are lost
    beat_every = 5.0
    lost_after = 30.0
    #: when low roots have their turn (gate.py): slots kept free, None for an eighth of all; and
    #: seconds of calm, that a normal message may wait in it, until a low root becomes normal
    low_reserve: int | None = None
    low_calm = 5.0
    low_patience = 0.1
    low_longest_wait: float | None = 3 * 3600.0
    #: whether its connection broke: what it delivered may still run
    is_broken = False
    _fair_client: redis.Redis | None = None

    def __init__(self: Any, connection: Any, **options: Any) -> None:
        given = connection.client.transport_options
        check(**{name: given.get(name, getattr(self, name)) for name in NAMES})
        self._reset_taking()
        self._numbers = Numbers()
        super().__init__(connection, **options)  # type: ignore[call-arg]

    def _connparams(self: Any, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[misc]
        parameters["connection_class"] = refusing(parameters["connection_class"])
        return parameters

    def is_fair(self: Any, queue: str) -> bool:
        """Say whether a queue is in fair order; its name alone decides, for every process."""
        return queue not in self._fanout_queues and not _NOT_FAIR.fullmatch(queue)

    @cached_property
    def leases(self: Any) -> Leases:
        """What this process holds on this server."""
        return leases_of(self)

    @property
    def fair_client(self: Any) -> redis.Redis:
        """A client that leaves keys as they are: ours have their prefix.

        One for each pool, which changes with a fork: making one costs more than a command.
        """
        pool = self.pool
        if self._fair_client is None or self._fair_client.connection_pool is not pool:
            self._fair_client = redis.Redis(connection_pool=pool)
        return self._fair_client

    def fair_queue(self: Any, queue: str, gate: LowGate | None = None) -> FairQueue:
        """Return a fair queue of this server; `gate` instead of that of the options."""
        return FairQueue(
            self.fair_client, queue, prefix=self.global_keyprefix, floor=self.fair_floor,
            gate=gate or self.low_gate,
        )  # fmt: skip

    def inspection(self: Any, queue: str) -> Inspection:
        """Return the reads of a fair queue of this server."""
        return Inspection(
            self.fair_client, queue, prefix=self.global_keyprefix, gate=self.low_gate
        )

    @property
    def low_gate(self: Any) -> LowGate:
        """When low roots have their turn; its times are ms."""
        longest = self.low_longest_wait
        return LowGate(
            self.low_reserve, self.low_calm * 1000, self.low_patience * 1000,
            None if longest is None else longest * 1000,
        )  # fmt: skip

    def stock_lists(self: Any, queue: str) -> list[str]:
        """Name the lists that kombu's own transport has for a queue."""
        return stock_lists(self.global_keyprefix, self.sep, self.priority_steps, queue)

    # -- publishing ------------------------------------------------------------------------

    def _next_delivery_tag(self: Any) -> DeliveryTag:
        return self._numbers.next()

    def _inplace_augment_message(
        self: Any, message: dict[str, Any], exchange: str, routing_key: str
    ) -> None:
        before = message["properties"].get("delivery_tag")
        super()._inplace_augment_message(message, exchange, routing_key)  # type: ignore[misc]
        if isinstance(before, DeliveryTag):  # kombu tries again what may have arrived
            before.tries += 1
            message["properties"]["delivery_tag"] = before

    def _put(self: Any, queue: str, message: dict[str, Any], **options: Any) -> None:
        if not self.is_fair(queue):
            super()._put(queue, message, **options)  # type: ignore[misc]
            return
        batch = options.get("_publish_batch")
        if batch is not None:
            batch.add_fair(queue, message)
            return
        tag = message["properties"]["delivery_tag"]
        if not isinstance(tag, DeliveryTag):  # a message of somebody else is put back
            tag = self._numbers.next()
        # with retry_on_timeout also redis-py says it again, and does not tell
        again = tag.tries > 0 or bool(self.retry_on_timeout)
        arguments = arguments_of(message, tag, again=again)
        script("publish").run(self.fair_client, self.fair_queue(queue).base, *arguments)

    def create_publish_batch(self: Any, max_size: int) -> PublishBatch:
        """Make a batch of messages that go out in one pipeline."""
        return PublishBatch(self, max_size)

    # -- consuming -------------------------------------------------------------------------

    def basic_consume(
        self: Any, queue: str, no_ack: bool, *arguments: Any, **options: Any
    ) -> Any:
        """Consume from a queue; without acknowledgements nothing is leased."""
        if self.is_fair(queue):
            self.leases.limited_by(self.qos)
        (self._without_ack.add if no_ack else self._without_ack.discard)(queue)
        return super().basic_consume(queue, no_ack, *arguments, **options)  # type: ignore[misc]

    def consumes(self: Any) -> bool:
        """Say whether somebody consumes by it."""
        return bool(self._consumers) and not self.closed

    def basic_get(self: Any, queue: str, no_ack: bool = False, **options: Any) -> Any:
        """Take one message, if there is any."""
        if not self.is_fair(queue):
            return super().basic_get(queue, no_ack=no_ack, **options)  # type: ignore[misc]
        while True:
            taken = self._get_fair(queue, no_ack=no_ack)
            if taken is None and not adopt(self.fair_queue(queue), self.stock_lists(queue)):
                return None
            message = taken and self._message_of(queue, taken, no_ack=no_ack)
            if message:
                return message

    def _get_fair(self: Any, queue: str, *, no_ack: bool) -> Taken | None:
        consumer = None if no_ack else self.leases.consumer
        request = 0 if no_ack else self.leases.request(queue)
        try:
            taken, _ = self.fair_queue(queue).take(consumer, request)
        except self.connection_errors:
            if consumer is not None:
                self.leases.unanswered(queue, request)
            raise
        return taken

    def _message_of(self: Any, queue: str, taken: Taken, *, no_ack: bool) -> Any:
        """Make the message of what was taken; None where it was set aside."""
        lease = None if no_ack else self.leases.took(queue, taken)
        try:
            message = self.Message(raw_of(taken, lease and lease.tag), channel=self)
        except MalformedMessage as error:
            self.quarantine(queue, taken.payload if lease is None else lease, str(error))
            return None
        if lease is not None:
            self.qos.append(message, lease.tag)
        return message

    def _basic_cancel(self: Any, consumer_tag: str) -> None:
        """Cancel a consumer; what is on its way to it comes first."""
        asked = self._asked
        if asked is not None and asked.queue == self._tag_to_queue.get(consumer_tag, ""):
            self._end_asking()
        super()._basic_cancel(consumer_tag)  # type: ignore[misc]

    def close(self: Any) -> None:
        """Close; what it had delivered and nobody runs goes back."""
        self._end_asking()
        super().close()  # type: ignore[misc]

    # -- the queue as a whole --------------------------------------------------------------

    def _new_queue(self: Any, queue: str, **options: Any) -> None:
        super()._new_queue(queue, **options)  # type: ignore[misc]
        if self.is_fair(queue):
            self.fair_queue(queue).declare()

    def _size(self: Any, queue: str) -> int:
        if not self.is_fair(queue):
            return super()._size(queue)  # type: ignore[misc]
        try:
            stock = int(super()._size(queue))  # type: ignore[misc]
        except redis.ResponseError:  # a key of that name is no list
            stock = 0
        return self.fair_queue(queue).size() + stock

    def _purge(self: Any, queue: str) -> int:
        stock = int(super()._purge(queue) or 0)  # type: ignore[misc]
        if not self.is_fair(queue):
            return stock
        fair = self.fair_queue(queue).purge()
        tell_purged(self, queue)
        return fair + stock

    def queue_delete(
        self: Any, queue: str, if_unused: bool = False, if_empty: bool = False, **options: Any
    ) -> None:
        """Delete a queue, also one that this connection did not declare."""
        if if_empty and self._size(queue):
            return
        super().queue_delete(queue, if_unused, if_empty, **options)  # type: ignore[misc]
        if self.is_fair(queue):
            self.leases.forget(queue)
            self.fair_queue(queue).delete()

    def _has_queue(self: Any, queue: str, **options: Any) -> bool:
        if self.is_fair(queue):
            return self.fair_queue(queue).is_declared()
        return super()._has_queue(queue, **options)  # type: ignore[misc]
