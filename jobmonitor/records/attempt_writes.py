"""The writes of one attempt, fenced, and its claim again where a crash forgot it.

Runs in: the process that runs the task.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from psycopg import Connection

from jobmonitor.records.store import Delivery, Ending, Fence, Report, Store, Turn

T = TypeVar("T")
logger = logging.getLogger(__name__)


class AttemptWrites:
    """What one attempt writes until it ends; None comes back where it was fenced out.

    A claim commits asynchronously. When Postgres crashes within about 0.6 s after it, the row
    is pending again though the job runs, until it writes. A refused write therefore claims
    once more before it is believed: that succeeds only while nobody else has touched the row
    since this delivery. `halt` need not: that a stop was asked is on disk, so the claim is too.
    """

    def __init__(self, store: Store, delivery: Delivery, attempt: int) -> None:
        self._store = store
        self._delivery = delivery
        self._fence = Fence(delivery.id, attempt, delivery.claimed_as)
        self._is_plain = not (delivery.continues or delivery.restartable)

    def advance(self, report: Report) -> str | None:
        """Write a report; the status now."""
        return self._written(lambda: self._store.advance(self._fence, report))

    def halt(self, report: Report) -> str | None:
        """End a stopping attempt at its safe point; the status it got."""
        return self._store.halt(self._fence, report)

    def again(self, connection: Connection[Any], report: Report, turn: Turn) -> Any:
        """End in another turn; the caller publishes, then commits."""
        return self._written(lambda: self._store.again(connection, self._fence, report, turn))

    def finish(self, report: Report, ending: Ending) -> Any:
        """Record the end, on disk when this returns."""
        return self._written(
            lambda: self._store.finish(self._fence, report, ending, is_plain=self._is_plain)
        )

    def is_finished(self) -> bool:
        """Say whether the finish was stored though its answer was lost."""
        return self._store.is_finished(self._fence)

    def _written(self, write: Callable[[], T | None]) -> T | None:
        answer = write()
        if answer is None and self._claim_again():
            answer = write()
        return answer

    def _claim_again(self) -> bool:
        if not self._store.claim_again(self._delivery):
            return False
        logger.warning("the claim of job %s was forgotten, and made again", self._fence.id)
        return True
