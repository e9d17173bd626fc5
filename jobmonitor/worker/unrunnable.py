"""Messages that can never run here: of a task that this worker does not know, or unreadable.

Runs in: the worker's main process, in its event loop. Celery drops such a message and says so
in its log. Of a job the end is recorded first: it is Finished with errors, its message is kept,
and a restart runs it once its task is known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jobmonitor.dispatch import number_of
from jobmonitor.redaction import cut, storable, words

_TEXT_MAX = 500
_HANDLERS = ("on_unknown_task", "on_invalid_task", "on_decode_error")


def stand_before(consumer: Any) -> None:
    """Record the end of a job before Celery drops its message."""
    for name in _HANDLERS:
        setattr(consumer, name, partial(_record, consumer, getattr(consumer, name)))


def said_of(error: BaseException) -> str:
    """Say in a job's record why its message cannot run."""
    return _sentence(type(error).__name__, words(error))


def _sentence(kind: str, why: str) -> str:
    return storable(f"{kind}: {cut(why, _TEXT_MAX)}; mend that, then restart the job")


def _record(consumer: Any, drop: Callable[..., Any], *given: Any) -> None:
    """Write the end in our thread, then let Celery drop the message; its own call otherwise."""
    message, error = given[-2:]
    headers = message.headers or {}
    number = number_of(headers)
    if number is None:
        drop(*given)
        return
    why = said_of(error)
    if isinstance(error, KeyError):
        unknown = f"worker {consumer.hostname} knows no task {headers.get('task')!r}"
        why = _sentence("NotRegistered", unknown)
    side = consumer.app.jobmonitor.worker_side
    side.end_unrunnable(headers["id"], number, why, partial(drop, *given))
