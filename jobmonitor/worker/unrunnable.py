"""Messages that cannot run here: of a task that this worker does not know, or unreadable.

Runs in: the worker's main process, in its event loop. Celery drops such a message and says so
in its log. From the fair transport it does not vanish: that of a task which another worker may
know, as while a new version is rolled out, goes back for some time; what nobody can read goes
to the quarantine. Of a job that ends by it the end is recorded first: it is Finished with
errors, its message is kept, and a restart runs it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery.signals import task_rejected, task_unknown
from kombu.exceptions import DecodeError

from jobmonitor.dispatch import number_of
from jobmonitor.records.database import Database, fetch
from jobmonitor.redaction import cut, storable, words
from jobmonitor.transport import consumer as transport

logger = logging.getLogger(__name__)
_TEXT_MAX = 500


def stand_before(consumer: Any) -> None:
    """Do what is right for a message before Celery drops it."""
    consumer.on_unknown_task = partial(_unknown_task, consumer, consumer.on_unknown_task)
    for name in ("on_invalid_task", "on_decode_error"):
        setattr(consumer, name, partial(_unreadable, consumer, getattr(consumer, name)))
    consumer.on_unknown_message = partial(_no_task, consumer, consumer.on_unknown_message)


def said_of(error: BaseException) -> str:
    """Say in a job's record why its message cannot run."""
    return _sentence(type(error).__name__, words(error))


def _sentence(kind: str, why: str) -> str:
    return storable(f"{kind}: {cut(why, _TEXT_MAX)}; mend that, then restart the job")


def _unknown_task(consumer: Any, drop: Callable[..., Any], *given: Any) -> None:
    """Give the message back for some time, unless its job is not waiting any more."""
    message = given[-2]
    headers = message.headers or {}
    unknown = f"worker {consumer.hostname} knows no task {headers.get('task')!r}"
    if not transport.is_leased(message):
        _end(consumer, drop, given, _sentence("NotRegistered", unknown))
        return
    task_unknown.send(
        sender=consumer, message=message, exc=given[-1], name=headers.get("task"),
        id=headers.get("id"),
    )  # fmt: skip
    monitor = consumer.app.jobmonitor
    again = monitor.settings.unknown_again
    due_at = datetime.now(UTC) + timedelta(seconds=again)
    facts = _facts(message, "returned", storable(unknown), due_at)

    def write() -> Callable[[], Any]:
        if not _waits(monitor.database, facts):
            return message.ack
        logger.warning("message %s goes back for %g s: %s", facts["id"], again, unknown)
        return partial(transport.defer, message, again)

    monitor.worker_side.end(write)


def _unreadable(consumer: Any, drop: Callable[..., Any], *given: Any) -> None:
    message, error = given[-2:]
    is_ours = number_of(message.headers or {}) is not None
    reason = f"{type(error).__name__}: {cut(words(error), _TEXT_MAX)}"
    if is_ours or not transport.quarantine(message, reason):
        _end(consumer, drop, given, said_of(error))
    else:
        monitor = consumer.app.jobmonitor
        if not isinstance(error, DecodeError):  # of which Celery sends no signal
            task_rejected.send(sender=consumer, message=message, exc=error)
        facts = _facts(message, "quarantined", storable(reason), None)
        monitor.worker_side.end(partial(_noted, monitor.database, facts))


def _no_task(consumer: Any, drop: Callable[..., Any], body: Any, message: Any) -> None:
    if not transport.quarantine(message, "it is not the message of a task"):
        drop(body, message)
        return
    task_rejected.send(sender=consumer, message=message, exc=None)


def _facts(message: Any, event: str, reason: str, due_at: datetime | None) -> dict[str, Any]:
    """What the audit of the message's job is told."""
    headers = message.headers or {}
    facts = {"id": headers.get("id"), "dispatch": number_of(headers), "event": event}
    return facts | {"reason": reason, "due_at": due_at}


def _waits(database: Database, facts: dict[str, Any]) -> bool:
    """Note that a job's message goes back; of a stopped one it does not: a resume publishes."""
    with database.transaction() as connection:
        if fetch(connection, "handed_back", facts) or facts["dispatch"] is None:
            return True
        fetch(connection, "note_taken", facts)
        return False


def _noted(database: Database, facts: dict[str, Any]) -> None:
    database.row("handed_back", facts)


def _end(consumer: Any, drop: Callable[..., Any], given: Any, why: str) -> None:
    """Write the end in our thread, then let Celery drop the message; its own call otherwise."""
    headers = given[-2].headers or {}
    number = number_of(headers)
    if number is None:
        drop(*given)
        return
    side = consumer.app.jobmonitor.worker_side
    side.end_unrunnable(headers["id"], number, why, partial(drop, *given))
