"""A job as people and programs see it, and its JSON.

Runs in: whoever reads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobmonitor.states import (
    FINAL,
    Descendants,
    Operation,
    Standing,
    Status,
    operations_offered,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """done/total of the job's own work; percent None is unknown."""

    done: float | None
    total: float | None
    percent: float | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Children or descendants of the current run; final ones count as finished."""

    total: int
    finished: int
    with_errors: int


@dataclass(frozen=True, slots=True)
class Below:
    """Unfinished descendants of one kind; `of_run` of them belong to the last run."""

    kind: Descendants
    jobs: int
    of_run: int


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, read at one moment."""

    id: str
    label: str | None
    type: str
    run_by: str | None
    parent_id: str | None
    root_id: str
    queue: str
    status: Status
    pending_because: str | None
    has_errors: bool
    error: str | None
    traceback: str | None
    low_priority: bool
    system: bool
    created_at: datetime
    due_at: datetime | None
    waiting_seconds: float
    started_at: datetime | None
    duration_seconds: float | None
    finished_at: datetime | None
    progress: Progress
    children: Counts
    descendants: Counts | None
    stoppable: bool
    restartable: bool
    operations: tuple[Operation, ...]
    run: int
    attempt: int
    retries: int
    lost: int
    worker: str | None
    worker_pid: int | None
    checkpoint: Any
    checkpoint_at: datetime | None
    args: Any
    kwargs: Any
    result: Any
    standing: Standing
    #: whether the waiting time, the duration grows while one looks at it
    waiting_grows: bool
    duration_grows: bool

    @property
    def unfinished(self) -> int:
        """How many descendants are not final."""
        return self.standing.unfinished

    @property
    def shown_status(self) -> str:
        """The status as people read it, with what of its tree is left."""
        left = self.unfinished
        if self.status in FINAL and left:
            return f"{self.status.shown} · {left:,} {'child' if left == 1 else 'children'} left"
        return self.status.shown

    def as_json(self) -> dict[str, Any]:
        """The fields of the API, in their order; times in ISO 8601, UTC."""
        return {
            "id": self.id,
            "label": self.label,
            "type": self.type,
            "run_by": self.run_by,
            "parent_id": self.parent_id,
            "root_id": self.root_id,
            "queue": self.queue,
            "status": self.status.value,
            "pending_because": self.pending_because,
            "has_errors": self.has_errors,
            "error": self.error,
            "low_priority": self.low_priority,
            "system": self.system,
            "created_at": in_utc(self.created_at),
            "due_at": in_utc(self.due_at),
            "waiting_seconds": self.waiting_seconds,
            "started_at": in_utc(self.started_at),
            "duration_seconds": self.duration_seconds,
            "finished_at": in_utc(self.finished_at),
            "progress": _plain(self.progress),
            "children": _plain(self.children),
            "descendants": None if self.descendants is None else _plain(self.descendants),
            "stoppable": self.stoppable,
            "restartable": self.restartable,
            "operations": [operation.value for operation in self.operations],
            "run": self.run,
            "attempt": self.attempt,
            "retries": self.retries,
            "lost": self.lost,
            "worker": self.worker,
            "args": self.args,
            "kwargs": self.kwargs,
            "result": self.result,
        }


_AS_IS = (
    "id", "label", "type", "run_by", "parent_id", "root_id", "queue", "has_errors", "error",
    "traceback", "low_priority", "system", "created_at", "due_at", "started_at", "finished_at",
    "stoppable", "restartable", "run", "attempt", "retries", "lost", "worker", "worker_pid",
    "checkpoint", "checkpoint_at",
)  # fmt: skip


def view_of(row: Any, below: Sequence[Below] | None) -> JobView:
    """Make a view of a row of `queries` and its unfinished descendants.

    None: nobody looked; the counters tell how many there are.
    """
    status = Status(row.status)
    children = _counts(row, "children_")
    descendants = _counts(row, "children_descendants_") if row.parent_id is None else None
    standing = _standing(row, status, descendants or children, below)
    return JobView(
        **{name: getattr(row, name) for name in _AS_IS},
        status=status,
        pending_because=row.pending_because if status is Status.PENDING else None,
        waiting_seconds=round(row.waited + row.waiting_now, 3),
        duration_seconds=round(row.ran + row.running_now, 3) if row.started_at else None,
        progress=_progress(row, status),
        children=children,
        descendants=descendants,
        operations=tuple(operations_offered(standing)),
        args=_parsed(row.args),
        kwargs=_parsed(row.kwargs),
        result=_parsed(row.result),
        standing=standing,
        waiting_grows=row.waiting_now > 0,
        duration_grows=row.running_since is not None,
    )


def _standing(
    row: Any, status: Status, counts: Counts, below: Sequence[Below] | None
) -> Standing:
    left = counts.total - counts.finished
    of_run = left
    if below is not None:
        left, of_run = sum(some.jobs for some in below), sum(some.of_run for some in below)
    return Standing(
        status=status,
        system=row.system,
        stoppable=row.stoppable,
        restartable=row.restartable,
        low_priority=row.low_priority,
        is_group=row.is_group,
        unfinished=left,
        unfinished_of_run=of_run,
        below=frozenset(some.kind for some in below or ()),
        for_members=row.pending_because == "members" and status is Status.PENDING,
        told=row.continued and row.outbox in (None, "forget"),
    )


def in_utc(moment: datetime | None) -> str | None:
    """Write a moment in ISO 8601, UTC, to the microsecond."""
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _progress(row: Any, status: Status) -> Progress:
    done, total = _number(row.progress_done), _number(row.progress_total)
    percent = None
    if done is not None and total:
        percent = min(100.0, round(100 * done / total, 1))
    if status is Status.FINISHED and not row.has_errors:
        percent = 100.0
    return Progress(done, total, percent, row.progress_message)


def _counts(row: Any, prefix: str) -> Counts:
    return Counts(
        *(int(getattr(row, prefix + name)) for name in ("total", "finished", "with_errors"))
    )


def _number(value: float | None) -> float | None:
    return int(value) if value is not None and value == int(value) else value


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _plain(value: Progress | Counts) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
