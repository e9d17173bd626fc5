"""What producers that know nothing of the fair order push joins it: no message waits outside.

Runs in: consumers. kombu's own Redis transport keeps a queue in a list, one more for each step
of its priorities; the front is at the right. A message moves by one script, which finds out
whether somebody else, an old worker say, has taken it meanwhile.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from jobmonitor.errors import MalformedMessage
from jobmonitor.transport import envelope, facts, scripts
from jobmonitor.transport.fair_queue import FairQueue, ack_arguments
from jobmonitor.transport.listeners import tell_adopted
from jobmonitor.transport.quarantine import Quarantine
from jobmonitor.transport.scripts import script

logger = logging.getLogger(__name__)
_AT_ONCE = 100
_PIECE = 10
_BYTES_AT_ONCE = 8_000_000


def stock_lists(prefix: str, separator: str, steps: Iterable[int], queue: str) -> list[str]:
    """Name the lists that kombu's own transport has for a queue, the first step first."""
    return [f"{prefix}{queue}{separator}{step}" if step else prefix + queue for step in steps]


def adopt(queue: FairQueue, lists: Iterable[str]) -> int:
    """Let the messages of kombu's lists join a queue, at most a hundred; how many did.

    What is malformed goes to the quarantine. Raises what redis raises.
    """
    adopted: list[dict[str, Any]] = []
    seen = size = 0
    for place in lists:
        while seen < _AT_ONCE and size < _BYTES_AT_ONCE:
            piece: Any = queue.client.lrange(place, -_PIECE, -1)
            if not piece:
                break
            moved = _move(queue, place, reversed(piece))
            adopted += moved
            seen, size = seen + len(piece), size + sum(map(len, piece))
    if adopted:
        tell_adopted(queue.name, adopted)
    return len(adopted)


def give_away(queue: FairQueue, stock_list: Callable[[int], str]) -> int:
    """Hand what waits over to kombu's own lists, for workers without us; how much that was.

    `queue` takes whatever the load, `stock_list` names the list of a priority. What is
    due later goes too, with its eta; what is held goes on. Each message moves as a whole or not
    at all. What is in quarantine stays. Raises what redis raises.
    """
    queue.pause(on=False)
    while roots := queue.held_roots():
        for root in roots:
            queue.release(root)
    given = _give_waiting(queue, f"giving-away-{uuid.uuid4().hex}", stock_list)
    over = script("hand_over")
    while some := int(over.run(queue.client, queue.base, stock_list(0), _AT_ONCE)):
        given += some
    return given


def _give_waiting(queue: FairQueue, consumer: str, stock_list: Callable[[int], str]) -> int:
    ack, given = script("ack"), 0
    scripts.load(queue.client)
    while (taken := queue.take(consumer, given + 1)[0]) is not None:
        step = facts.LOWEST_PRIORITY if taken.low else _step_of(taken.payload)
        settled = ack_arguments(consumer, taken.lease, 0, taken.root, taken.low)
        with queue.client.pipeline(transaction=True) as pipe:
            pipe.lpush(stock_list(step), taken.payload.encode("utf-8", "surrogateescape"))
            pipe.fcall(ack.name, 1, queue.base, *settled)
            pipe.execute()
        given += 1
    queue.leave(consumer)
    return given


def _step_of(payload: str) -> int:
    try:
        return facts.step_of(envelope.read(payload))
    except MalformedMessage:
        return 0


def _move(queue: FairQueue, place: str, piece: Iterable[bytes]) -> list[dict[str, Any]]:
    moved = []
    for message in piece:
        try:
            raw = envelope.read(message)
        except MalformedMessage as error:
            logger.warning("a message of %s goes to the quarantine: %s", place, error)
            Quarantine(queue).keep_listed(place, message, str(error))
            continue
        arguments = _arguments(raw, message)
        if not script("adopt").run(queue.client, queue.base, "", place, *arguments):
            break  # somebody else has taken it: look again
        moved.append(raw)
    return moved


def _arguments(raw: dict[str, Any], message: bytes) -> tuple[Any, ...]:
    """Order what adopt.lua wants of a message."""
    weight, due = facts.weight_of(raw), facts.due_of(raw)
    again = bool(raw["properties"]["delivery_info"].get("redelivered"))
    return (
        message, int(again), "low" if facts.is_low(raw) else "normal", facts.step_of(raw),
        facts.root_of(raw), "" if weight is None else weight, "" if due is None else due,
        str(raw["properties"].get("delivery_tag", "")),
    )  # fmt: skip
