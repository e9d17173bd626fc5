"""What a caller says of a job beside Celery's own options, checked and made storable.

Runs in: whoever submits, and the worker that adopts a job. Text is taken as it is as far as
Postgres takes it; what cannot be a job is refused before anything is recorded.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from jobmonitor.dispatch import HEADER, Message
from jobmonitor.errors import SubmissionRefused, WrongProtocol
from jobmonitor.redaction import cut, storable
from jobmonitor.task_options import TaskOptions

logger = logging.getLogger(__name__)
_OWN_OPTIONS = ("run_by", "low_priority", "label", "system", "detached", "key")
_ID_MAX = 255
_LABEL_MAX = 500
_KEY_MAX = 200
_DIGEST = 64

#: who submits, unless said otherwise; set by `monitor.acting`
acting: ContextVar[str | None] = ContextVar("jobmonitor_acting", default=None)


@dataclass(frozen=True, slots=True)
class Own:
    """What a caller says of the job."""

    run_by: str | None = None
    low_priority: bool | None = None
    label: str | None = None
    system: bool | None = None
    detached: bool = False
    key: str | None = None


def own_of(options: dict[str, Any], headers: dict[str, Any]) -> Own:
    """Take our options out of Celery's, and what a plain caller put into our header.

    Raises SubmissionRefused for a text that cannot be made of what was given.
    """
    hints = (options.get("headers") or {}).get(HEADER) or headers.get(HEADER) or {}
    if not isinstance(hints, dict) or "dispatch" in hints:
        hints = {}
    own = {name: hints[name] for name in _OWN_OPTIONS if hints.get(name) is not None}
    for name in _OWN_OPTIONS:
        value = options.pop(name, None)
        if value is not None:
            own[name] = value
    for name in own.keys() & {"run_by", "key", "label"}:
        own[name] = _text(name, own[name])
    for name in own.keys() & {"low_priority", "system", "detached"}:
        own[name] = bool(own[name])
    if "run_by" in own:
        own["run_by"] = person(own["run_by"])
    return replace(Own(), **own)


def person(who: str) -> str:
    """Make the name of somebody storable."""
    return cut(storable(who), _ID_MAX)


def check_message(name: Any, headers: dict[str, Any]) -> None:
    """Raise SubmissionRefused for what cannot be the name of a task; WrongProtocol."""
    if "id" not in headers:
        raise WrongProtocol()
    if not isinstance(name, str) or not name:
        raise SubmissionRefused(f"a task name is a text, not {name!r}")
    if storable(name) != name:
        raise SubmissionRefused("a task name must not contain NUL or lone surrogates")


def check_id(message: Message) -> None:
    """Raise SubmissionRefused for what cannot be the id of a job.

    A number or a UUID becomes text in the message: as anything else it would end the worker
    that receives it.
    """
    given = message.headers["id"]
    if not isinstance(given, str):
        if isinstance(given, bool) or not isinstance(given, (int, UUID)):
            raise SubmissionRefused(f"a task id is a text, not a {type(given).__name__}")
        message.headers["id"] = str(given)
    check_text_of_id("task", message.id)


def is_id(given: Any) -> bool:
    """Say whether this may be the id of a job that was submitted."""
    return isinstance(given, str) and 0 < len(given) <= _ID_MAX and storable(given) == given


def check_text_of_id(kind: str, job_id: str) -> None:
    """Raise SubmissionRefused for an id of a task or group that Postgres could not keep."""
    if not 0 < len(job_id) <= _ID_MAX:
        raise SubmissionRefused(
            f"a {kind} id has 1 to {_ID_MAX} characters; this one has {len(job_id):,}"
        )
    if storable(job_id) != job_id:
        raise SubmissionRefused(f"a {kind} id must not contain NUL or lone surrogates")


def label_of(own: Own, task: TaskOptions, name: str, args: Any, kwargs: Any) -> str | None:
    """Return the label of a job, or None; a callable that raises costs it its label only."""
    label: str | Callable[..., str] | None = task.label if own.label is None else own.label
    try:
        made = label(*args, **kwargs) if callable(label) else label
        return None if made is None else cut(storable(str(made)), _LABEL_MAX)
    except Exception as error:
        logger.warning("the label of task %s raised %r; the job has none", name, error)
        return None


def short_key(key: str | None) -> str | None:
    """Keep a key within what an index takes; different keys stay different."""
    if key is None or (len(key) <= _KEY_MAX and storable(key) == key):
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{storable(key[: _KEY_MAX - _DIGEST])}{digest}"


def _text(name: str, value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        raise SubmissionRefused(
            f"{name} is a text; this {type(value).__name__} cannot be made one"
        ) from error
