"""The seam of submission: every message of the app becomes a row first, then a message.

Runs in: whoever submits: a web process, beat, a pool child, the worker's main process. It
stands in for `app.amqp.send_task_message`, the one place that apply_async, send_task, canvas,
link, retry, replace, beat and chord bodies all pass.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery import Celery

from jobmonitor import signals
from jobmonitor.bulk import Bulk
from jobmonitor.current import running_job
from jobmonitor.dispatch import HEADER, Dispatch, Message, Stored
from jobmonitor.errors import (
    DatabaseUnavailable,
    JobExists,
    JobNotDone,
    MessageTooLarge,
    SubmissionRefused,
)
from jobmonitor.job import RunningJob
from jobmonitor.places import Place, Places
from jobmonitor.queues import is_for_all, queue_of
from jobmonitor.records.database import fetch
from jobmonitor.records.store import NewJob, Store, Turn, patiently, slot
from jobmonitor.redaction import Redactor, storable
from jobmonitor.said import (
    Own,
    acting,
    check_id,
    check_message,
    check_text_of_id,
    label_of,
    own_of,
    short_key,
)
from jobmonitor.settings import Settings
from jobmonitor.states import FINAL, Status
from jobmonitor.task_options import TaskOptions, is_tracked, options_of

logger = logging.getLogger(__name__)
_STAND_IN = "celery.accumulate"


class Submission:
    """Records and publishes what one app submits."""

    def __init__(
        self, app: Celery, store: Store, dispatch: Dispatch, settings: Settings
    ) -> None:
        self._app = app
        self._store = store
        self._dispatch = dispatch
        self._settings = settings
        self._redactor = Redactor(settings.redact, settings.shown_max)
        self._places = Places(app, store)
        self._open_group: str | None = None
        self.bulk = Bulk(
            app, store, dispatch, patience=settings.claim_patience, met=self._met,
            keep=partial(_keep, store.database.rows),
        )  # fmt: skip

    def send_task_message(self, producer: Any, name: str, message: Any, **options: Any) -> Any:
        """Stand where Celery's own sender stood; the same arguments, the same errors.

        Raises DatabaseUnavailable or SubmissionRefused before anything was recorded, and what
        the broker raises after the row was taken back.
        """
        check_message(name, message.headers)
        own = own_of(options, message.headers)
        sent = Message(
            name, message.headers, message.properties, message.body, options, message.sent_event
        )
        sent.headers.update(options.pop("headers", None) or {})
        job = running_job()
        if job is not None and job.active and job.id == sent.id:
            _forget_expiry(sent, self._places.request())
            job.tail.prepared = sent
            return None
        if name == _STAND_IN and self._stand_in(sent):
            return None
        task = self._tasks().get(name)
        if not is_tracked(name, task) or is_for_all(self._app, options):
            self._places.mark_parent(sent, job)
            return self._dispatch.send(producer, sent, options)
        return self._submit(producer, sent, own, options_of(task, self._settings, name), task)

    def adopt(self, message: Message, task: Any) -> None:
        """Record a job whose producer knew nothing of us; its message is delivered already."""
        self._store.create(self.adopted(message, task))

    def adopted(self, message: Message, task: Any) -> NewJob:
        """Make the job of a message whose producer knew nothing of us; its group is opened."""
        own = own_of({}, message.headers)
        message.headers.pop(HEADER, None)
        options = options_of(task, self._settings, message.name)
        place = self._places.outside(message)
        if place.group is not None:
            self._open(place.group, message, own, options.weight)
        return self._new_job(message, own, place, options, task)

    def turn(self, message: Message | None, turn: Turn, delay: float) -> Turn:
        """Complete another turn of a running job with its new message, or its delay."""
        if message is None:
            due_at = datetime.now(UTC) + timedelta(seconds=delay) if delay else None
            return replace(turn, due_at=due_at)
        stored = self._packed(message)
        task = self._tasks().get(message.name)
        shown = self._redactor.arguments(getattr(task, "run", None), *message.body[:2])
        return replace(
            turn, due_at=message.due_at, envelope=stored.envelope, body=stored.body,
            args=shown.args, kwargs=shown.kwargs,
            queue=storable(queue_of(self._app, message.options)),
        )  # fmt: skip

    def publish_within(self, connection: Any, message: Message, row: Any) -> None:
        """Publish the new message of a row inside the transaction that changed the row."""
        keep = partial(_keep, partial(fetch, connection), message.id, row.dispatch)
        with self._app.producer_or_acquire(None) as producer:
            self._dispatch.publish(producer, message, row, keep=keep)

    # -- the row first ---------------------------------------------------------------------

    def _submit(
        self, producer: Any, message: Message, own: Own, task: TaskOptions, instance: Any
    ) -> Any:
        place = self._place(message, own)
        job = self._new_job(message, own, place, task, instance)
        opens = (
            partial(self._open, place.group, message, own, task.weight) if place.group else None
        )
        batch = self.bulk.batch_for(message)
        if batch is not None:
            batch.add(job, message, opens)
            return None
        if opens is not None:
            opens()
        created = self._create(job)
        if created is None:
            return self._met(job, message)
        signals.job_created.send(sender=message.name, job_id=job.id)
        if created.status != Status.PENDING:
            return None
        try:
            keep = partial(_keep, self._store.database.rows, job.id, created.dispatch)
            return self._dispatch.publish(producer, message, created, keep=keep)
        except Exception:
            if self._store.take_back(job.id):
                raise
            logger.warning("the publish of job %s failed, but a worker has it", job.id)
            return None

    def _create(self, job: NewJob) -> Any:
        """Insert the row; an insert whose answer was lost counts as done."""
        try:
            return self._store.create(job)
        except DatabaseUnavailable:
            logger.warning("the database broke while job %s was recorded; trying again", job.id)
        created = patiently(partial(self._store.create, job), self._settings.claim_patience)
        if created is None:
            found = self._store.existing(job)
            if found and found.id == job.id and (found.attempt, found.dispatch) == (0, 1):
                return found
        return created

    def _new_job(
        self, message: Message, own: Own, place: Place, task: TaskOptions, instance: Any
    ) -> NewJob:
        check_id(message)
        args, kwargs = message.body[0], message.body[1]
        shown = self._redactor.arguments(getattr(instance, "run", None), args, kwargs)
        if shown.secrets:
            message.headers |= {"argsrepr": shown.args, "kwargsrepr": shown.kwargs}
            if message.sent_event:
                message.sent_event |= {"args": shown.args, "kwargs": shown.kwargs}
        stored = self._packed(message)
        return NewJob(
            id=message.id,
            type=message.name,
            queue=storable(queue_of(self._app, message.options)),
            envelope=stored.envelope,
            body=stored.body,
            label=label_of(own, task, message.name, args, kwargs),
            parent_id=None if place.parent_id is None else storable(place.parent_id),
            parent_run=place.parent_run,
            key=place.key,
            step_of=place.step_of,
            run_by=own.run_by if own.run_by is not None else acting.get(),
            system=True if task.system else own.system,
            stoppable=task.stoppable,
            restartable=task.restartable,
            low_priority=True if task.low_priority else own.low_priority,
            weight=task.weight,
            due_at=message.due_at,
            args=shown.args,
            kwargs=shown.kwargs,
        )

    def _packed(self, message: Message) -> Stored:
        """Serialize a message; raises MessageTooLarge, and EncodeError as a publish would."""
        stored = self._dispatch.pack(message)
        size = len(stored.body) + len(stored.envelope)
        if size > self._settings.message_max:
            raise MessageTooLarge(message.name, size, self._settings.message_max)
        return stored

    # -- where it belongs ------------------------------------------------------------------

    def _place(self, message: Message, own: Own) -> Place:
        if own.detached:
            return Place()
        job = running_job()
        if job is None:
            return self._places.outside(message)
        if job.active:
            key = own.key if own.key is not None else job.child_key()
            return Place(job.id, job.run, key=short_key(key))
        return self._places.in_tail(job, message.id)

    def _tasks(self) -> Any:
        """The tasks of the app; finalized, or their options would be unknown."""
        app = self._app
        return app.tasks if app.finalized or app.autofinalize else app._tasks

    def _open(self, group: str, message: Message, own: Own, weight: float) -> None:
        if group != self._open_group:
            check_text_of_id("group", group)
            self._store.create_group(
                group,
                label=f"group of {message.name}",
                queue=storable(queue_of(self._app, message.options)),
                run_by=own.run_by if own.run_by is not None else acting.get(),
                system=bool(own.system),
                low_priority=bool(own.low_priority),
                weight=weight,
            )
            self._open_group = group

    # -- a job that is there already -------------------------------------------------------

    def _met(self, job: NewJob, message: Message) -> None:
        """Handle an id or key that exists: the child of a repeat, a new run, or a refusal."""
        found = self._store.existing(job)
        if found is None:
            raise SubmissionRefused(f"job {job.id} vanished while it was submitted; try again")
        if found.id == job.id and self._stand_in(message):
            return
        running = running_job()
        in_tail = self._places.polls_for_chord() if running is None else not running.active
        if found.id != job.id or in_tail or (job.key and found.parent_id == job.parent_id):
            self._reissue(found)
        elif Status(found.status) in FINAL:
            self._run_anew(job, message)
        else:
            raise JobExists(job.id, Status(found.status).shown)

    def _reissue(self, found: Any) -> None:
        """Publish a repeated child again that has not started: its message may be missing."""
        with self._store.database.transaction() as connection:
            facts = {"id": found.id, "dispatch": found.dispatch}
            for row in fetch(connection, "reissue", facts):
                self._dispatch.publish_again(row)

    def _run_anew(self, job: NewJob, message: Message) -> None:
        with self._store.database.transaction() as connection:
            facts = {
                "id": job.id, "anyway": True, "type": job.type, "args": job.args,
                "kwargs": job.kwargs, "due_at": job.due_at, "envelope": job.envelope,
                "body": job.body, "actor": job.run_by, "reason": "submitted again",
                "slot": slot(),
            }  # fmt: skip
            rows = fetch(connection, "restart", facts)
            if not rows:
                raise JobNotDone(job.id)
            self.publish_within(connection, message, rows[0])

    def _stand_in(self, message: Message) -> bool:
        """Let the last part of what replaced a job continue that job."""
        stored = self._packed(message)
        with self._store.database.transaction() as connection:
            facts = {"id": message.id, "envelope": stored.envelope, "body": stored.body}
            rows = fetch(connection, "stand_in", facts | {"due_at": message.due_at})
            for row in rows:
                if row.status == Status.PENDING:
                    self.publish_within(connection, message, row)
            return bool(rows)


def _keep(run: Callable[..., Any], job_id: str, dispatch: int, stored: Stored) -> None:
    """Store a message as receivers of before_task_publish left it."""
    facts = {"id": job_id, "dispatch": dispatch, "envelope": stored.envelope}
    run("amend", facts | {"body": stored.body})


def child_id(job: RunningJob, key: str) -> str:
    """The id of the child with this key: the same at every repeat in this run."""
    digest = hashlib.sha256(
        f"{job.id}\n{job.run}\n{key}".encode("utf-8", "replace")
    ).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _forget_expiry(message: Message, request: Any) -> None:
    """A job that has started does not expire; Celery hands the old time on to a retry."""
    if message.headers.get("expires") == request.get("expires"):
        message.headers["expires"] = None
        message.options.pop("expiration", None)
