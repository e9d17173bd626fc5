"""Lets operations reach what waits in the broker, where its queues are in fair order.

Runs in: whoever steers, and the worker that makes the rounds. All of this only saves
deliveries: a message that is left is refused by its claim. So the rows come first, and what the
broker does not hear of is logged. Two steps could lose a job, and have an order for it:

- A message is dropped only when its row says that it is gone (`give_up`, taken_dispatch) or is
  Canceled: a resume then publishes it again under a higher number. Whoever dies between the two
  leaves a copy that its claim refuses as stale.
- A root is held only while Postgres holds it as a whole. Whoever dies between a resume and its
  `release` leaves messages that nobody takes: `release_left` finds such roots at every round.

Nothing may be published meanwhile that is not meant, so a root is held or dropped as a whole
only while its tree is at rest and its claims and submissions wait; else its jobs are marked.
What is published below a hold all the same (a system job, a tail that is owed) ends it: `let`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobmonitor.failpoints import reach
from jobmonitor.records.database import Database, fetch
from jobmonitor.transport import consumer
from jobmonitor.transport.fair_queue import MOVED_AT_ONCE, FairQueue

logger = logging.getLogger(__name__)
_BROKER_ERRORS = (OperationalError, RedisError, OSError)
_QUEUES_MAX = 100
_NOT_TOLD = "the broker was not told what becomes of what waits: %r"


class Waiting:
    """What waits of the jobs of one app, on queues in fair order; elsewhere nothing happens."""

    def __init__(self, app: Celery, database: Database) -> None:
        self._app = app
        self._database = database

    # -- stop, resume, cancel --------------------------------------------------------------

    def stopped(self, root_id: str, rows: Iterable[Any], *, whole: bool) -> None:
        """Let the messages of jobs that waited and are Stopped now cost no delivery."""
        rows = [row for row in rows if row.was == "pending"]
        if not rows or not self._can_steer():
            return
        if whole and self._hold(root_id, _queues_of(rows)):
            return
        self._give_up(root_id, [row.id for row in rows])

    def resumed(self, root_id: str, queues: Iterable[str], *, whole: bool) -> None:
        """Let what was held of a tree be taken again; the rows are committed."""
        reach("resumed")
        held: list[bool] = []
        if not whole:
            self._on_each(queues, lambda queue: held.append(queue.is_held(root_id)))
        if any(held):
            left = self._database.rows("left_stopped", {"root_id": root_id})
            self._give_up(root_id, [row.id for row in left])
        self._on_each(queues, lambda queue: queue.release(root_id))

    def let(self, channel: Any, root_id: str, name: str) -> None:
        """Let a message be taken that no hold is to reach: its root is held no more.

        By the channel that publishes it: a second connection might have to be waited for.
        """
        try:
            queue = consumer.steer(channel, name)
            if queue is not None:
                queue.release(root_id)
        except _BROKER_ERRORS as error:
            logger.warning(_NOT_TOLD, error)

    def canceled(self, root_id: str, rows: Iterable[Any], *, whole: bool) -> None:
        """Let the messages of jobs that are Canceled go."""
        rows = list(rows)
        if not rows or not self._can_steer():
            return
        queues = self._queues(root_id) if whole else []
        if whole and self._drop(root_id, queues):
            return
        self._mark(
            root_id, {row.id: (row.queue, row.dispatch) for row in rows if not row.taken}
        )
        self._on_each(queues, lambda queue: queue.release(root_id))

    def release_left(self, queues: Iterable[str]) -> None:
        """Release the roots that are held though Postgres holds them no more."""

        def release(queue: FairQueue) -> None:
            roots = queue.held_roots()
            for row in self._database.rows("not_to_be_held", {"roots": roots}) if roots else ():
                queue.release(row.id)

        self._on_each(queues, release)

    def _give_up(self, root_id: str, ids: Sequence[str]) -> None:
        """Drop the messages of Stopped jobs; a resume publishes them again."""
        for some in _batches(ids):
            left = self._database.rows("give_up", {"ids": some})
            reach("given_up")
            self._mark(root_id, {row.id: (row.queue, row.dispatch) for row in left})

    def _hold(self, root_id: str, queues: Sequence[str]) -> bool:
        """Hold a root; False where something of it is to run all the same."""
        with self._locked(root_id) as tree:
            if tree.moving or not tree.stopped:
                return False
            self._on_each(queues, lambda queue: queue.hold(root_id))
            return True

    def _drop(self, root_id: str, queues: Sequence[str]) -> bool:
        """Remove what waits of a root; False where something of it may run yet."""
        with self._locked(root_id) as tree:
            if tree.moving or tree.stopping or tree.stopped:
                return False
            self._on_each(queues, lambda queue: queue.drop(root_id))
            return True

    # -- low priority ----------------------------------------------------------------------

    def steered(self, root_id: str) -> list[str]:
        """Name the queues of a tree in which what waits can be moved; they answer now."""
        reached: list[str] = []
        if self._can_steer():
            self._on_each(self._queues(root_id), FairQueue.is_declared, reached)
        return reached

    def move(self, root_id: str, queues: Iterable[str], *, low: bool) -> None:
        """Let what waits of a root wait in the other class."""

        def move(queue: FairQueue) -> None:
            while queue.move(root_id, low=low):
                pass

        self._on_each(queues, move)

    def moved(self, root_id: str, queues: Sequence[str], *, low: bool) -> bool:
        """Move what was published while the rows changed; False: their flags differ again."""
        if not queues:
            return True
        with self._locked(root_id, low=low) as tree:
            if tree.others:
                return False
            self.move(root_id, queues, low=low)
            return True

    def lowered(self, root_id: str, rows: Iterable[Any]) -> None:
        """Let the messages of jobs that are low now go to the low class when they are next."""
        self._mark(root_id, {row.id: (row.queue, "low") for row in rows if row.waits})

    def raised(self, root_id: str, rows: Iterable[Any]) -> None:
        """Forget what `lowered` said of jobs; before their new messages are published."""

        def forget(queue: FairQueue) -> None:
            if queue.has_marks(root_id):
                for some in _batches(ids):
                    queue.mark(root_id, dict.fromkeys(some, "normal"))

        ids = [row.id for row in rows]
        self._on_each(_queues_of(rows), forget)

    def replaced(self, root_id: str, rows: Iterable[Any]) -> None:
        """Let the copies go that were replaced by those published just now."""
        waiting = [row for row in rows if row.status in {"pending", "stopped"}]
        self._mark(root_id, {row.id: (row.queue, row.dispatch - 1) for row in waiting})

    # -- how the broker is reached ---------------------------------------------------------

    @contextmanager
    def _locked(self, root_id: str, *, low: bool = False) -> Iterator[Any]:
        """Say what a tree may still publish, and let it begin nothing meanwhile."""
        facts = {"root_id": root_id, "low": low}
        with self._database.transaction() as connection:
            fetch(connection, "settle", facts)
            locked = len(fetch(connection, "lock_guarded", facts))
            tree = fetch(connection, "at_rest", facts)[0]
            changing = tree.guarded - locked
            yield tree._replace(moving=tree.moving + changing)

    def _queues(self, root_id: str) -> list[str]:
        facts = {"root_id": root_id, "limit": _QUEUES_MAX}
        return [row.queue for row in self._database.rows("queues_of", facts)]

    def _mark(self, root_id: str, marks: Mapping[str, tuple[str, str | int]]) -> None:
        by_queue: dict[str, dict[str, str | int]] = {}
        for job_id, (name, mark) in marks.items():
            by_queue.setdefault(name, {})[job_id] = mark

        for name, jobs in by_queue.items():

            def mark_all(queue: FairQueue, jobs: dict[str, str | int] = jobs) -> None:
                for some in _batches(list(jobs)):
                    queue.mark(root_id, {job_id: jobs[job_id] for job_id in some})

            self._on_each([name], mark_all)

    def _can_steer(self) -> bool:
        return consumer.can_steer(self._app.connection_for_write())

    def _on_each(
        self,
        queues: Iterable[str],
        act: Callable[[FairQueue], Any],
        reached: list[str] | None = None,
    ) -> None:
        """Do something on each queue that is in fair order; what fails is only logged."""
        queues = list(queues)
        if not queues or not self._can_steer():
            return
        try:
            with self._app.connection_or_acquire() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
                for name in queues:
                    queue = consumer.steer(connection.default_channel, name)
                    if queue is not None:
                        act(queue)
                        if reached is not None:
                            reached.append(name)
        except _BROKER_ERRORS as error:
            logger.warning(_NOT_TOLD, error)


def _queues_of(rows: Iterable[Any]) -> list[str]:
    return list({row.queue: None for row in rows})


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[i : i + MOVED_AT_ONCE]) for i in range(0, len(ids), MOVED_AT_ONCE))
