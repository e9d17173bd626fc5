"""Rate limits: what waits for its turn in this worker does not take the slots of other jobs.

Runs in: the worker's main process, in its event loop. A worker takes no message beyond its free
slots; one that waits for its rate limit would keep a slot idle, so it is not counted, up to as
many as Celery takes by default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from celery import bootsteps

_A_SLOT = 4  # Celery's worker_prefetch_multiplier


class RateLimits(bootsteps.Step):
    """Counts what waits; before the strategies of the tasks are made."""

    def __init__(self, parent: Any, **options: Any) -> None:
        """Stand around the three methods of the consumer that know of rate limits."""
        super().__init__(parent, **options)
        self._consumer = parent
        self._waiting: WeakSet[Any] = WeakSet()
        self._to_pool = parent._limit_move_to_pool
        parent._limit_task = self._counted(parent._limit_task)
        parent._limit_post_eta = self._counted(parent._limit_post_eta)
        parent._limit_move_to_pool = self._move_to_pool

    def _counted(self, limit: Callable[..., Any]) -> Callable[..., Any]:
        def limit_task(request: Any, bucket: Any, tokens: int) -> Any:
            if len(self._waiting) < _A_SLOT * self._consumer.pool.num_processes:
                self._waiting.add(request)
                self._consumer.qos.increment_eventually()
            return limit(request, bucket, tokens)

        return limit_task

    def _move_to_pool(self, request: Any) -> None:
        if request in self._waiting:
            self._waiting.discard(request)
            self._consumer.qos.decrement_eventually()
        self._to_pool(request)
