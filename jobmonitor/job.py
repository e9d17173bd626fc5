"""The running job, as the task that runs sees it: progress, checkpoint, iterate, step, error.

Runs in: the process (and thread) that runs the task. Reports are written at most once per
`progress_interval`; that same statement tells whether a stop is asked. Outside a job
`current_job()` is an object whose calls do nothing.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from jobmonitor.checkpoint import Marks
from jobmonitor.errors import (
    CheckpointRefused,
    DatabaseUnavailable,
    JobFenced,
    JobStopped,
    ProgressRefused,
)
from jobmonitor.records.store import Ending, Report, Turn
from jobmonitor.redaction import cut, storable, words
from jobmonitor.settings import is_number, shown

#: names the lines that a job has from us
LOGGER = "jobmonitor.job"
logger = logging.getLogger(LOGGER)
P = ParamSpec("P")
R = TypeVar("R")
#: the job of this context; `jobmonitor.current` sets it
context: ContextVar[RunningJob | None] = ContextVar("jobmonitor_current", default=None)
_MESSAGE_MAX = 1_000
_unset: Any = object()


class Recorder(Protocol):
    """Where an attempt writes; `jobmonitor.records.attempt_writes` has the one that does."""

    def advance(self, report: Report) -> str | None: ...
    def halt(self, report: Report) -> str | None: ...
    def again(self, connection: Any, report: Report, turn: Turn) -> Any: ...
    def finish(self, report: Report, ending: Ending) -> Any: ...
    def is_finished(self) -> bool: ...


class Log(Protocol):
    """Where the lines of an attempt go; `jobmonitor.job_log` has the one that keeps them."""

    def add(self, level: int, logger: str, message: str, *, always: bool = False) -> None: ...
    def flush(self) -> None: ...


class NoLog:
    """Keeps no line."""

    def add(self, level: int, logger: str, message: str, *, always: bool = False) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the running job is: the facts of its claim."""

    id: str
    root_id: str
    parent_id: str | None
    step_of: str | None
    run: int
    attempt: int
    stoppable: bool
    checkpoint: dict[str, Any] | None = None
    progress_total: float | None = None


@dataclass(slots=True)
class Tail:
    """What is to be done after the task's own code, by the machinery around it."""

    #: values of arguments that are never shown
    secrets: tuple[str, ...] = ()
    #: the message of another turn (retry, replace), published when the attempt has ended
    prepared: Any = None
    #: other jobs stand in for this one
    replaced: bool = False
    turn: Turn | None = None
    turn_delay: float = 0.0
    #: how the attempt ended, once that is stored
    ending: Ending | None = None
    #: a link, a chain step or a chord part is owed
    owed: bool = False
    #: the ids in its chord's body and in its next chain step, once somebody asked
    body_ids: frozenset[str] | None = None
    step_ids: frozenset[str] | None = None
    #: its root is a group
    in_group: bool = False


class RunningJob:
    """One attempt of a job, from its claim to Celery's task_postrun."""

    def __init__(
        self,
        identity: Identity,
        recorder: Recorder,
        *,
        interval: float,
        checkpoint_max: int,
        scrub: Callable[[str], str] = storable,
    ) -> None:
        self.id = identity.id
        self.root_id = identity.root_id
        self.parent_id = identity.parent_id
        self.step_of = identity.step_of
        self.run = identity.run
        self.attempt = identity.attempt
        #: True while the task's own code runs, False in Celery's tail after it
        self.active = True
        self.has_errors = False
        self.tail = Tail()
        self.scrub = scrub
        self.log: Log = NoLog()
        self._stoppable = identity.stoppable
        self.recorder = recorder
        self._interval = interval
        self._checkpoint_max = checkpoint_max
        self._lock = threading.RLock()
        self._due = time.monotonic() + interval
        self._stop_asked = False
        self._marks = Marks(identity.checkpoint)
        self._progress: tuple[float, float | None, str | None] | None = None
        self._progress_total = identity.progress_total
        self._scopes: list[_Scope] = [_Scope("")]

    # -- what the task calls ---------------------------------------------------------------

    @property
    def state(self) -> Any:
        """What `checkpoint(state)` saved last, also in an earlier attempt; None at first."""
        return self._marks.state

    def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Report done of total of the job's own work; total None keeps the last one.

        Raises ProgressRefused for a negative number, a total of zero or below, or NaN.
        """
        check_progress(done, total)
        if total is not None:
            self._progress_total = total
        text = None if message is None else cut(self.scrub(words(message)), _MESSAGE_MAX)
        self._progress = (done, self._progress_total, text)
        if time.monotonic() >= self._due:
            self._write()

    def checkpoint(self, state: Any = _unset) -> None:
        """Mark a safe point: save `state`, and end here if a stop was asked.

        What is saved comes back as `.state` after a resume, a crash or a lost worker. Written
        at most once per progress_interval, and always when the job stops or ends. Raises
        CheckpointRefused for a state that is not JSON or too large.
        """
        if state is not _unset:
            self._marks.state = state
            self._marks.unsaved = True
        if self._stop_asked or time.monotonic() >= self._due:
            self._safe_point()

    def iterate(
        self,
        source: Sequence[R] | Callable[[Any], Iterable[tuple[Any, R]]],
        total: float | None = None,
    ) -> Iterator[R]:
        """Go through `source`, each item a safe point; continues behind the last finished item.

        `source` is a sequence, or a callable that takes the cursor (None at first) and yields
        (cursor, item) behind it, each cursor a JSON value. Reports progress where it is the
        outermost iteration and `total` is known (a sequence knows its own). A child submitted
        meanwhile gets a key by itself: repeating the item after a crash meets that child.
        """
        outer = self._scopes[-1]
        key = outer.child_key()
        place = self._marks.place(key)
        if place["ended"]:
            return
        if total is None and not callable(source):
            total = len(source)
        if total:
            check_progress(0, total)
        reports = len(self._scopes) == 1 and bool(total)
        for cursor, item in items_of(source, place):
            scope = _Scope(f"{key}[{_written(cursor)}]")
            self._scopes.append(scope)
            try:
                yield item
            finally:
                self._scopes.pop()
            self._marks.forget_inside(scope.path)
            place["cursor"] = cursor
            place["done"] += 1
            self._marks.unsaved = True
            if reports:
                self._progress = (place["done"], total, None)
                self._progress_total = total
            if self._stop_asked or time.monotonic() >= self._due:
                self._safe_point()
        place["ended"] = True
        self._marks.unsaved = True

    def step(self, name: str) -> Iterator[str]:
        """Run a block once over all attempts of this run: `for _ in job.step("load"): …`.

        The block is skipped where an earlier attempt completed it; its end is a safe point.
        Inside `iterate` it is a step of that item.
        """
        outer = self._scopes[-1].path
        key = f"{outer}{name}"
        if key in self._marks.steps:
            return
        self._scopes.append(_Scope(f"{outer}step {name}"))
        try:
            yield name
        finally:
            self._scopes.pop()
        self._marks.steps.add(key)
        self._marks.unsaved = True
        self._safe_point()

    def error(self, message: str, **extra: Any) -> None:
        """Log an error that does not end the job: it will be Finished with errors."""
        text = self.scrub(words(message))
        if extra:
            more = ", ".join(f"{name}={words(value, repr)}" for name, value in extra.items())
            text = f"{text} ({self.scrub(more)})"
        logger.error("%s", text, extra={"job_id": self.id})
        self.has_errors = True
        self.log.add(logging.ERROR, LOGGER, text)
        if time.monotonic() >= self._due:
            self._write()

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Make a function find this job in whatever thread it is called."""

        @wraps(function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            token = context.set(self)
            try:
                return function(*args, **kwargs)
            finally:
                context.reset(token)

        return bound

    # -- what the machinery around it calls ------------------------------------------------

    def child_key(self) -> str | None:
        """The key of the next child submitted here; None outside `iterate` and `step`."""
        scope = self._scopes[-1]
        return scope.child_key() if scope.path else None

    def last_report(self) -> Report:
        """What is not written yet, for the statement that ends the attempt."""
        with self._lock:
            return self._report()

    def _write(self, *, safe: bool = False) -> None:
        """Write what there is to say and learn whether a stop is asked.

        While the database is away the job goes on, and says it later. Celery's handlers run
        when the attempt has ended: there is nothing to write for them.
        """
        if not self.active:
            return
        with self._lock:
            self._due = time.monotonic() + self._interval
            report, progress = self._report(safe=safe), self._progress
            self._progress, self._marks.unsaved = None, False
            try:
                status = self.recorder.advance(report)
            except DatabaseUnavailable as error:
                logger.warning("a report of job %s waits: %s", self.id, error)
                self._progress = self._progress or progress
                self._marks.unsaved = self._marks.unsaved or report.checkpoint is not None
                return
            if status is None:
                raise JobFenced(self.id)
            self._stop_asked = status == "stopping" and self._stoppable

    def _safe_point(self) -> None:
        if time.monotonic() >= self._due:
            self._write(safe=True)
        if not self._stop_asked or not self.active:
            return
        with self._lock:
            try:
                self.log.flush()
                halted = self.recorder.halt(self._report())
            except DatabaseUnavailable as error:
                logger.warning("the stop of job %s waits: %s", self.id, error)
                return
        if halted is None:
            raise JobFenced(self.id)
        raise JobStopped(self.id)

    def _report(self, *, safe: bool = False) -> Report:
        done, total, message = self._progress or (None, None, None)
        marks = self._marks
        return Report(
            done=done,
            total=total,
            message=message,
            has_progress=self._progress is not None,
            checkpoint=marks.as_json(self._checkpoint_max) if marks.unsaved else None,
            safe=safe,
            has_errors=self.has_errors,
        )


class _Scope:
    """An item of an iteration, or a step: names the children and iterations inside it."""

    __slots__ = ("_next", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._next = 0

    def child_key(self) -> str:
        self._next += 1
        return f"{self.path}#{self._next - 1}"


def items_of(
    source: Sequence[R] | Callable[[Any], Iterable[tuple[Any, R]]], place: dict[str, Any]
) -> Iterator[tuple[Any, R]]:
    """Yield (cursor, item) behind the place where an earlier attempt got to."""
    if callable(source):
        yield from source(place["cursor"])
        return
    begin = 0 if place["cursor"] is None else place["cursor"] + 1
    for index in range(begin, len(source)):
        yield index, source[index]


def _written(cursor: Any) -> str:
    try:
        return json.dumps(cursor)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointRefused(f"a cursor must be JSON: {error}") from error


def check_progress(done: float, total: float | None) -> None:
    """Raise ProgressRefused for numbers that make no sense."""
    _check_number("done", done, "zero or above")
    if total is None:
        return
    _check_number("total", total, "above zero")
    if total == 0:
        raise ProgressRefused(
            "progress total must be above zero, not 0; leave it out while it is unknown"
        )


def _check_number(name: str, number: Any, takes: str) -> None:
    if not is_number(number) or number < 0 or not _is_finite(number):
        raise ProgressRefused(
            f"progress {name} must be a finite number {takes}, not {shown(number)}"
        )


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
