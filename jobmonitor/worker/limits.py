"""Rate limits: what waits for its turn waits in the broker, and takes no slot of other jobs.

Runs in: the worker's main process, in its event loop. From the fair transport a message beyond
the limit goes back until its turn: each has a turn of its own, so that they do not all come
back at once. On another broker it waits in this worker as Celery has it, but is not counted
among what the worker may hold, up to as many as Celery takes by default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from celery import bootsteps

from jobmonitor.transport import consumer as transport

#: seconds; what has its turn later asks again, for the limit may be another by then
_AGAIN = 10.0
_A_SLOT = 4  # Celery's worker_prefetch_multiplier


class RateLimits(bootsteps.Step):
    """Counts what waits; before the strategies of the tasks are made."""

    def __init__(self, parent: Any, **options: Any) -> None:
        """Stand around the three methods of the consumer that know of rate limits."""
        super().__init__(parent, **options)
        self._consumer = parent
        self._waiting: WeakSet[Any] = WeakSet()
        #: when the next turn is that was given to nobody, by the limit of a task
        self._turns: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self._to_pool = parent._limit_move_to_pool
        parent._limit_task = self._limited(parent._limit_task)
        parent._limit_post_eta = self._limited(parent._limit_post_eta)
        parent._limit_move_to_pool = self._move_to_pool

    def _limited(self, limit: Callable[..., Any]) -> Callable[..., Any]:
        def limit_task(request: Any, bucket: Any, tokens: int) -> Any:
            if self._goes_back(request, bucket, tokens):
                return None
            if len(self._waiting) < _A_SLOT * self._consumer.pool.num_processes:
                self._waiting.add(request)
                self._consumer.qos.increment_eventually()
            return limit(request, bucket, tokens)

        return limit_task

    def _goes_back(self, request: Any, bucket: Any, tokens: int) -> bool:
        """Give a message back until its turn; False: it has its turn now, or cannot go back."""
        now = time.monotonic()
        wait = float(bucket.expected_time(tokens))
        turn = max(self._turns.get(bucket, 0.0), now + wait)
        if wait <= 0 and not bucket.contents:
            return False
        if not transport.defer(request.message, min(turn - now, _AGAIN)):
            return False
        if turn - now <= _AGAIN:
            self._turns[bucket] = turn + tokens / bucket.fill_rate
        return True

    def _move_to_pool(self, request: Any) -> None:
        if request in self._waiting:
            self._waiting.discard(request)
            self._consumer.qos.decrement_eventually()
        self._to_pool(request)
