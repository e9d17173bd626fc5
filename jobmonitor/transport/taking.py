"""How a channel takes messages: take until nothing is left, then wait for a hint, then take.

Runs in: consumers, in kombu's poller. Stock kombu blocks in BRPOP, which removes a message
before anybody holds it. Here one verb takes and leases in one step, and what is blocked on is
a token: a hint that a look is worth it, of which any may be lost.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty
from threading import get_ident
from typing import Any

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import ResponseError

from jobmonitor.errors import MalformedMessage
from jobmonitor.transport import scripts
from jobmonitor.transport.envelope import raw_of
from jobmonitor.transport.fair_queue import Taken, take_arguments, taken_of
from jobmonitor.transport.keys import base_of
from jobmonitor.transport.leases import Lease
from jobmonitor.transport.quarantine import Quarantine
from jobmonitor.transport.scripts import script

logger = logging.getLogger(__name__)
#: seconds; a BRPOP that waits for no time waits for ever
_SHORTEST = 0.001
#: seconds; a token is a hint that may be lost, so nobody waits for one longer
_LONGEST = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """A question on its way: a take of one queue; without one a wait, or a look at others.

    What was settled since the last one went ahead of it in the same write.
    """

    queue: str | None
    request: int = 0
    leased: bool = False
    at: float = 0.0
    settled: tuple[Lease, ...] = ()
    is_wait: bool = False


class Taking:
    """The part of a fair channel that takes."""

    _asked: Asked | None = None
    _is_empty = False
    _is_stock_next = False
    _due_in = -1.0

    is_broken = False

    def _reset_taking(self: Any) -> None:
        self._untried: deque[str] = deque()
        self._settled: list[Lease] = []
        self._asks_from: int | None = None
        self._without_ack: set[str] = set()

    # -- asking ----------------------------------------------------------------------------

    def _brpop_start(self: Any, timeout: float | None = None) -> None:
        self._asks_from = get_ident()
        if self._asked is not None:  # its connection was dropped under it; this is a new one
            self._is_unanswered(self._asked)
        queues = self._queue_cycle.consume(len(self.active_queues))
        fair = [queue for queue in queues if self.is_fair(queue)]
        if not fair:
            super()._brpop_start(timeout)  # type: ignore[misc]
        else:
            self._ask(fair, [queue for queue in queues if not self.is_fair(queue)], timeout)

    def _ask(self: Any, fair: list[str], stock: list[str], timeout: float | None) -> None:
        for queue in fair:
            self.leases.consumes(queue)
        may_take = [queue for queue in fair if not self.leases.is_fenced(queue)]
        if not may_take or self._is_empty:
            self._due_in = self._due_in if may_take else -1.0
            self._is_empty = False
            self._wait(fair, stock, timeout)
        elif stock and self._is_stock_next:  # else a busy fair queue would hide them
            self._is_stock_next = False
            keys = self._stock_keys(stock)
            asked = Asked(None, settled=self._settled_now())
            self._send(asked, script("pop").command(*keys))
        else:
            self._untried = deque(q for q in self._untried if q in may_take)
            if not self._untried:
                self._untried, self._due_in = deque(may_take), -1.0
            self._ask_for(self._untried.popleft())

    def _ask_for(self: Any, queue: str) -> None:
        leased = queue not in self._without_ack
        request = self.leases.request(queue) if leased else 0
        arguments = take_arguments(
            self.leases.consumer if leased else None, request, self.leases.floor,
            self.leases.gate,
        )  # fmt: skip
        base = base_of(self.global_keyprefix, queue)
        self._send(
            Asked(queue, request, leased, time.monotonic(), self._settled_now()),
            script("take").command(base, arguments=arguments),
        )

    def _wait(self: Any, fair: list[str], stock: list[str], timeout: float | None) -> None:
        asked = self.brpop_timeout if timeout is None else timeout
        longest = min(asked or _LONGEST, _LONGEST)
        if self._due_in >= 0:
            longest = min(longest, max(self._due_in / 1000, _SHORTEST))
        keys = [f"{base_of(self.global_keyprefix, queue)}wake" for queue in fair]
        keys += self._stock_keys(stock)
        self._send(
            Asked(None, settled=self._settled_now(), is_wait=True), ("BRPOP", *keys, longest)
        )

    def _stock_keys(self: Any, stock: list[str]) -> list[str]:
        return [
            self.global_keyprefix + self._q_for_pri(queue, priority)
            for priority in self.priority_steps
            for queue in stock
        ]

    def _settled_now(self: Any) -> tuple[Lease, ...]:
        settled, self._settled = tuple(self._settled), []
        return settled

    def _send(self: Any, asked: Asked, command: tuple[Any, ...]) -> None:
        self._asked = asked
        self._in_poll = connection = self.client.connection
        self._brpop_sent_at = time.monotonic()
        ack = script("ack")
        commands = [
            ack.command(
                base_of(self.global_keyprefix, lease.queue), arguments=lease.ack_arguments
            )
            for lease in asked.settled
        ]
        try:
            connection.send_packed_command(connection.pack_commands([*commands, command]))
        except self.connection_errors:
            self._lost(asked)
            raise

    # -- reading ---------------------------------------------------------------------------

    def _brpop_read(self: Any, **options: Any) -> Any:
        asked, self._asked = self._asked, None
        if asked is None:
            return super()._brpop_read(**options)  # type: ignore[misc]
        try:
            reply = self._reply(asked)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self.is_broken = False
        if asked.queue is None:
            return self._woken(reply)
        return self._taken(asked, *taken_of(reply))

    def _reply(self: Any, asked: Asked) -> Any:
        try:
            for lease in asked.settled:
                self._read_settled(lease)
            return self.client.parse_response(self.client.connection, "FCALL")
        except (ResponseError, *self.connection_errors) as error:
            if scripts.is_missing(error):
                scripts.load(self.fair_client)
                self._again(asked)
                raise Empty() from None
            if isinstance(error, self.connection_errors):
                self._lost(asked)
            raise

    def _read_settled(self: Any, lease: Lease) -> None:
        """Drop what is settled; what the server refused stays owed, and the beat pays it."""
        try:
            self.client.parse_response(self.client.connection, "FCALL")
        except ResponseError:
            logger.debug("the lease of root %s is settled later", lease.root)
        else:
            self.leases.drop(lease)

    def _again(self: Any, asked: Asked) -> None:
        if asked.queue is not None:
            self._untried.appendleft(asked.queue)
            if asked.leased:
                self.leases.unanswered(asked.queue, asked.request)

    def _lost(self: Any, asked: Asked) -> None:
        """Let the next connection ask the same again."""
        self._is_unanswered(asked)
        self.client.connection.disconnect()

    def _is_unanswered(self: Any, asked: Asked) -> None:
        self._asked = None
        if asked.queue is not None and asked.leased:
            self.leases.unanswered(asked.queue, asked.request)
        self.is_broken = True

    def _woken(self: Any, reply: Sequence[bytes] | None) -> bool:
        if not reply:
            raise Empty()
        key, item = bytes_to_str(reply[0]), reply[1]
        if key.endswith(":wake"):
            raise Empty()
        queue = key.removeprefix(self.global_keyprefix).rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        self.connection._deliver(loads(bytes_to_str(item)), queue)
        return True

    def _taken(self: Any, asked: Asked, taken: Taken | None, due_in: float) -> bool:
        if taken is None:
            self._due_in = _sooner(self._due_in, due_in)
            self._is_empty = not self._untried
            raise Empty()
        self._is_stock_next = True
        self._untried.clear()
        lease = self._hold(asked, taken)
        if asked.leased and lease is None:
            raise Empty()
        self._queue_cycle.rotate(asked.queue)
        try:
            raw = raw_of(taken, lease and lease.tag)
            self.connection._deliver(raw, asked.queue)
        except MalformedMessage as error:
            self.quarantine(asked.queue, taken.payload if lease is None else lease, str(error))
        return True

    def _hold(self: Any, asked: Asked, taken: Taken) -> Lease | None:
        """Hold what was taken; None if it was given up while it was read, or needs no lease."""
        if not asked.leased:
            return None
        lease: Lease = self.leases.took(asked.queue, taken)
        is_late = time.monotonic() - asked.at > self.leases.pace.beat_every
        if is_late and not self.leases.queue(asked.queue).holds(
            self.leases.consumer, lease.number
        ):
            self.leases.drop(lease)
            return None
        return lease

    def quarantine(self: Any, queue: str, message: Lease | str, reason: str) -> None:
        """Set aside what cannot be delivered; what cannot be reached is settled by the beat."""
        logger.warning("a message of queue %s goes to the quarantine: %s", queue, reason)
        if isinstance(message, Lease):
            self.leases.quarantine(message, reason)
        else:
            Quarantine(self.fair_queue(queue)).keep(_bytes(message), reason)

    def settles_later(self: Any) -> bool:
        """Whether an ack may go with the next question: one is about to be asked.

        So it is in a worker's event loop while it consumes, unless it waits for a token.
        """
        is_waiting = self._in_poll is not None and (self._asked is None or self._asked.is_wait)
        return (
            self.connection is not None
            and self.connection.is_in_event_loop
            and not is_waiting
            and bool(self._consumers)
            and self._asks_from == get_ident()
        )

    def settle(self: Any, lease: Lease) -> None:
        """Ack a lease together with the next question."""
        self.leases.owe_ack(lease)
        self._settled.append(lease)

    # -- the end ---------------------------------------------------------------------------

    def _end_asking(self: Any) -> None:
        """Give back or deliver what is on its way; a wait is let go."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        self._in_poll = None
        if asked.is_wait and not self._has_come():
            self.client.connection.disconnect()  # what was settled with it stays owed
            return
        try:
            reply = self._reply(asked)
            if asked.queue is None:
                self._woken(reply)
                return
        except (Empty, *self.connection_errors):
            return
        taken, _ = taken_of(reply)
        if taken is not None and asked.leased:
            self.leases.requeue(self.leases.took(asked.queue, taken))
        elif taken is not None:
            try:
                self.connection._deliver(raw_of(taken), asked.queue)
            except MalformedMessage as error:
                self.quarantine(asked.queue, taken.payload, str(error))

    def _has_come(self: Any) -> bool:
        try:
            return bool(self.client.connection.can_read(timeout=0))
        except self.connection_errors:
            return False


def _bytes(payload: str) -> bytes:
    return payload.encode("utf-8", "surrogateescape")


def _sooner(one: float, other: float) -> float:
    return max(one, other) if min(one, other) < 0 else min(one, other)
