"""Many submissions at once: rows in one statement, messages in one pipeline.

Runs in: whoever submits. The members of a group or of a chord's header are collected until
Celery has made them all; `JobMonitor.submit_many` collects whatever is submitted inside it.
Row first, message second, as for a single one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from celery import Celery
from kombu.exceptions import BatchPublishError

from jobmonitor import signals
from jobmonitor.dispatch import Dispatch, Message, Stored
from jobmonitor.errors import DatabaseUnavailable, SubmissionRefused
from jobmonitor.records.database import TRANSIENT_ERRORS
from jobmonitor.records.store import NewJob, Store, patiently
from jobmonitor.states import Status

logger = logging.getLogger(__name__)
#: rows in a statement, messages in a pipeline
BATCH = 1_000
#: what the messages of a statement have together, at most
BATCH_BYTES = 8_000_000
Item = tuple[NewJob, Message, Callable[[], None] | None]


class Batch:
    """Submissions that wait to be recorded and published together, in their order."""

    def __init__(self, send: Callable[[list[Item]], None]) -> None:
        self._send = send
        self._items: dict[str, Item] = {}
        self._bytes = 0

    def add(self, job: NewJob, message: Message, open_group: Callable[[], None] | None) -> None:
        """Let a submission wait; a full batch is sent, and one that has its id already."""
        size = len(job.body) + len(job.envelope)
        full = len(self._items) >= BATCH or self._bytes + size > BATCH_BYTES
        if full or job.id in self._items:
            self.flush()
        self._items[job.id] = (job, message, open_group)
        self._bytes += size

    def flush(self) -> None:
        """Send what waits; raises what recording or publishing raises."""
        items, self._items, self._bytes = list(self._items.values()), {}, 0
        if items:
            self._send(items)


class Bulk:
    """Collects and sends the batches of one app."""

    def __init__(
        self,
        app: Celery,
        store: Store,
        dispatch: Dispatch,
        *,
        patience: float,
        met: Callable[[NewJob, Message], None],
        keep: Callable[[str, int, Stored], None],
    ) -> None:
        self._app = app
        self._store = store
        self._dispatch = dispatch
        self._patience = patience
        self._met = met
        self._keep = keep
        self._here = threading.local()

    # -- what is collected -----------------------------------------------------------------

    def install(self) -> None:
        """See when Celery has submitted all members of a group: it then leaves its producer."""
        self._acquire = self._app.producer_or_acquire
        self._app.producer_or_acquire = self._seen

    @contextmanager
    def collecting(self) -> Iterator[Any]:
        """Collect everything that is submitted inside, and send it at the end."""
        with self._app.producer_or_acquire(None) as producer:
            self._scopes[-1].takes_all = True
            yield producer

    def batch_for(self, message: Message) -> Batch | None:
        """Return the batch that a submission belongs to; None: it goes out by itself.

        The innermost producer is that of the submission itself.
        """
        scopes = self._scopes[:-1]
        for scope in scopes:
            if scope.takes_all:
                return scope.batch
        if scopes and message.headers.get("group") is not None:
            return scopes[-1].batch
        return None

    @property
    def _scopes(self) -> list[_Scope]:
        try:
            scopes: list[_Scope] = self._here.scopes
        except AttributeError:
            scopes = self._here.scopes = []
        return scopes

    @contextmanager
    def _seen(self, producer: Any = None) -> Iterator[Any]:
        with self._acquire(producer) as acquired:
            scope = _Scope(partial(self._send, acquired))
            scopes = self._scopes
            scopes.append(scope)
            try:
                yield acquired
            except BaseException:
                scopes.remove(scope)
                raise
            scopes.remove(scope)
            scope.flush()

    # -- how it is sent --------------------------------------------------------------------

    def _send(self, producer: Any, items: list[Item]) -> None:
        for _, _, open_group in items:
            if open_group is not None:
                open_group()
        created = self._record([job for job, _, _ in items])
        try:
            self._publish(producer, items, created)
        except Exception:
            if self._take_back(list(created)):
                raise
            logger.warning("the publish of %d jobs failed, but workers have them", len(created))
        except BaseException as end:
            try:
                self._take_back(list(created))
            finally:  # not the error of a database that is gone as well
                raise end
        self._meet([item for item in items if item[0].id not in created])

    def _record(self, jobs: list[NewJob]) -> dict[str, Any]:
        """Insert the rows; an insert whose answer was lost counts as done."""
        try:
            return {row.id: row for row in self._store.create_many(jobs)}
        except (DatabaseUnavailable, *TRANSIENT_ERRORS):
            logger.warning("the database broke while jobs were recorded; trying again")
        rows = patiently(partial(self._store.create_many, jobs), self._patience)
        created = {row.id: row for row in rows}
        for job in jobs:
            find = partial(self._store.existing, job)
            found = None if job.id in created else patiently(find, self._patience)
            if found and found.id == job.id and (found.attempt, found.dispatch) == (0, 1):
                created[job.id] = found
        return created

    def _publish(self, producer: Any, items: list[Item], created: dict[str, Any]) -> None:
        """Publish in one pipeline; where that breaks, one by one, with Celery's retries.

        What arrived twice by that has the same dispatch, and is claimed once.
        """
        for job, message, _ in items:
            if job.id in created:
                signals.job_created.send(sender=message.name, job_id=job.id)
        try:
            with producer.batch(max_size=BATCH):
                self._publish_each(producer, items, created)
        except BatchPublishError as error:
            logger.warning("a batch was not published, trying one by one: %s", error)
            self._publish_each(producer, items, created)

    def _publish_each(self, producer: Any, items: list[Item], created: dict[str, Any]) -> None:
        for job, message, _ in items:
            row = created.get(job.id)
            if row is not None and row.status == Status.PENDING:
                keep = partial(self._keep, job.id, row.dispatch)
                self._dispatch.publish(producer, message, row, keep=keep)

    def _meet(self, items: list[Item]) -> None:
        """Handle those whose id or key exists; when all are done, raise the first refusal."""
        refused: list[Exception] = []
        for job, message, _ in items:
            try:
                self._met(job, message)
            except SubmissionRefused as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def _take_back(self, ids: list[str]) -> int:
        taken = self._store.take_back(*ids) if ids else 0
        logger.warning("the publish of %d jobs failed; %d were taken back", len(ids), taken)
        return taken


class _Scope:
    """One use of a producer, and what is collected meanwhile."""

    __slots__ = ("_batch", "_send", "takes_all")

    def __init__(self, send: Callable[[list[Item]], None]) -> None:
        self._send = send
        self._batch: Batch | None = None
        self.takes_all = False

    @property
    def batch(self) -> Batch:
        """The batch of this scope, made when it is first needed."""
        if self._batch is None:
            self._batch = Batch(self._send)
        return self._batch

    def flush(self) -> None:
        """Send what was collected."""
        if self._batch is not None:
            self._batch.flush()
