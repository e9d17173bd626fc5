"""What happens to a job, written in the order of its life: create, claim, advance, end.

Runs in: submitters, pool children and the worker's main process. Each method is one statement;
what a statement decides stands at the head of its file in `sql/`. Every write of an attempt
compares attempt and status: where it was fenced out, nothing changes and None is returned.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import Connection

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.records.database import TRANSIENT_ERRORS, Database, fetch

T = TypeVar("T")
_SLOTS = 16


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is submitted; None means: as the parent has it, or the default."""

    id: str
    type: str
    queue: str
    envelope: str
    body: bytes
    label: str | None = None
    parent_id: str | None = None
    parent_run: int | None = None
    key: str | None = None
    step_of: str | None = None
    run_by: str | None = None
    system: bool | None = None
    stoppable: bool | None = None
    restartable: bool = False
    low_priority: bool | None = None
    weight: float = 1.0
    due_at: datetime | None = None
    args: str | None = None
    kwargs: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivered message and the process that wants to run it."""

    id: str
    dispatch: int
    claimed_as: str
    worker: str
    pid: int
    system: bool
    stoppable: bool | None
    restartable: bool
    rerun: bool
    continues: bool
    lost_after: float
    lost_max: int
    lost_reason: str


@dataclass(frozen=True, slots=True)
class Fence:
    """What each write of an attempt is compared with; refused once another has claimed."""

    id: str
    attempt: int
    claimed_as: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an attempt has to say about itself: progress, checkpoint (JSON text), errors.

    `safe`: it is at a safe point, also where that saves nothing new.
    """

    done: float | None = None
    total: float | None = None
    message: str | None = None
    has_progress: bool = False
    checkpoint: str | None = None
    safe: bool = False
    has_errors: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: nothing in `error` means that it returned."""

    has_errors: bool
    error: str | None = None
    traceback: str | None = None
    result: str | None = None
    result_is_whole: bool = False
    outcome: bytes | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """Another turn of the same job: when, why, and its message where that changed."""

    event: str
    because: str
    reason: str | None = None
    due_at: datetime | None = None
    retried: bool = False
    type: str | None = None
    queue: str | None = None
    args: str | None = None
    kwargs: str | None = None
    envelope: str | None = None
    body: bytes | None = None


def facts_of(record: Any) -> dict[str, Any]:
    """The fields of a slotted dataclass; `asdict` copies each value and is far slower."""
    return {name: getattr(record, name) for name in record.__slots__}


def _as_json(position: int, job: NewJob) -> dict[str, Any]:
    facts = facts_of(job) | {"position": position}
    facts["body"] = base64.b64encode(job.body).decode("ascii")
    facts["due_at"] = job.due_at.isoformat() if job.due_at else None
    return facts


def slot() -> int:
    """The counter slot of this process."""
    return os.getpid() % _SLOTS


class Store:
    """The writes of a job's life."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # -- submitted -------------------------------------------------------------------------

    def create(self, job: NewJob) -> Any:
        """Insert row, message and counters; (status, dispatch, low_priority) or None.

        None: a job with this id, or with this key in the parent's run, exists.
        """
        return self.database.row("create", facts_of(job) | {"slot": slot()})

    def create_many(self, jobs: Sequence[NewJob]) -> list[Any]:
        """Insert what `create` inserts, for many; (id, status, dispatch, low_priority) each.

        Jobs whose id or key exists are left out. No two of them may have the same id.
        """
        rows = [_as_json(position, job) for position, job in enumerate(jobs)]
        return self.database.rows("create_many", {"jobs": json.dumps(rows), "slot": slot()})

    def existing(self, job: NewJob) -> Any:
        """Find the job that made `create` return None."""
        facts = {"id": job.id, "key": job.key}
        return self.database.row(
            "existing", facts | {"parent_id": job.parent_id, "parent_run": job.parent_run}
        )

    def create_group(
        self, group_id: str, *, label: str, queue: str, run_by: str | None, system: bool,
        low_priority: bool, weight: float = 1.0,
    ) -> None:  # fmt: skip
        """Make sure that the root row of a canvas from outside a job is there and open."""
        facts = {
            "id": group_id, "label": label, "queue": queue, "run_by": run_by, "system": system,
            "low_priority": low_priority, "weight": weight,
        }  # fmt: skip
        self.database.rows("create_group", facts)

    def take_back(self, *job_ids: str) -> int:
        """Undo creates whose publish failed; how many, since workers may have some already."""
        return len(self.database.rows("take_back", {"ids": list(job_ids), "slot": slot()}))

    # -- running ---------------------------------------------------------------------------

    def claim(self, delivery: Delivery) -> Any:
        """Take the job for this process, or say why not; None: there is no such job.

        A crash of Postgres may forget that a pending job was taken: see `AttemptWrites`.
        """
        facts = facts_of(delivery) | {"slot": slot()}
        return self.database.row("claim_pending", facts) or self.database.row("claim", facts)

    def claim_again(self, delivery: Delivery) -> bool:
        """Take the job again if a crash forgot that it was taken; False: it is another's now.

        Where it is another's, or held, it is noted that this delivery is consumed.
        """
        facts = facts_of(delivery)
        if self.database.row("claim_pending", facts) is not None:
            return True
        self.database.rows("note_taken", facts)
        return False

    def advance(self, fence: Fence, report: Report) -> str | None:
        """Write a report; the status now, or None where the attempt was fenced out."""
        found = self.database.row("advance", facts_of(fence) | facts_of(report))
        return found.status if found else None

    def halt(self, fence: Fence, report: Report) -> str | None:
        """End a stopping attempt at its safe point; the status it got, or None."""
        facts = facts_of(fence) | {"slot": slot()}
        found = self.database.row("halt", facts | facts_of(report))
        return found.status if found else None

    def again(
        self, connection: Connection[Any], fence: Fence, report: Report, turn: Turn
    ) -> Any:
        """End the attempt in another turn; the caller publishes, then commits."""
        facts = facts_of(fence) | {"slot": slot()}
        found = fetch(connection, "again", facts | facts_of(report) | facts_of(turn))
        return found[0] if found else None

    # -- ended -----------------------------------------------------------------------------

    def finish(
        self, fence: Fence, report: Report, ending: Ending, *, is_plain: bool = False
    ) -> Any:
        """Record the end, on disk when this returns; None where the attempt was fenced out.

        `is_plain`: it owes no continuation and cannot be restarted, as most jobs; that is less
        work, and a second round trip only where a stop was asked meanwhile.
        """
        facts = facts_of(fence) | facts_of(report) | facts_of(ending) | {"slot": slot()}
        found = self.database.row("finish_running", facts) if is_plain else None
        return found or self.database.row("finish", facts)

    def is_finished(self, fence: Fence) -> bool:
        """Say whether this attempt's finish was stored though its answer was lost."""
        found = self.database.row("ended_as", {"id": fence.id})
        if found is None or found.status != "finished":
            return False
        return (found.attempt, found.claimed_as) == (fence.attempt, fence.claimed_as)

    def spoil(self, job_id: str, attempt: int, error: str) -> None:
        """Note that Celery could not keep the result of a finished job."""
        facts = {"id": job_id, "attempt": attempt, "error": error, "slot": slot()}
        self.database.rows("spoil", facts)

    def taint(self, job_id: str, attempt: int) -> None:
        """Note that a finished job logged an error in Celery's tail after it."""
        self.database.rows("taint", {"id": job_id, "attempt": attempt, "slot": slot()})

    def continue_(self, job_id: str, attempt: int, *, fired: bool) -> None:
        """Note that Celery's tail of a finished job is done."""
        self.database.rows("continue", {"id": job_id, "attempt": attempt, "fired": fired})

    def place(self, job_id: str) -> Any:
        """Look up where a job belongs: (root_id, parent_id, status), or None."""
        return self.database.row("place", {"id": job_id})

    def close_group(self, group_id: str) -> bool:
        """Finish a group of which everything is final and continued."""
        return self.database.row("close_group", {"id": group_id}) is not None

    # -- ended by somebody else ------------------------------------------------------------

    def lose(
        self, connection: Connection[Any], job_id: str, *, worker: str, pid: int | None,
        dispatch: int | None, rerun: bool, lost_max: int, reason: str, counts: bool = True,
    ) -> Any:  # fmt: skip
        """Take a job from a process that is gone; the caller publishes, then commits.

        Where it does not count (a shutdown), the cap on lost workers stays as far away.
        """
        facts = {"id": job_id, "worker": worker, "pid": pid, "dispatch": dispatch}
        facts |= {"rerun": rerun, "lost_max": lost_max, "reason": reason, "slot": slot()}
        facts |= {"counts": counts}
        found = fetch(connection, "lose", facts)
        return found[0] if found else None

    def end_by_main(
        self, job_id: str, *, worker: str, pid: int | None, reason: str,
        dispatch: int | None = None,
    ) -> bool:  # fmt: skip
        """Record an end that the worker's main process decided (a hard time limit)."""
        facts = {"id": job_id, "worker": worker, "pid": pid, "dispatch": dispatch}
        facts |= {"reason": reason, "slot": slot()}
        return self.database.row("end_by_main", facts) is not None

    def unrunnable(self, job_id: str, dispatch: int, error: str) -> Any:
        """End a job whose message can never run as it is; None: it is at another place."""
        facts = {"id": job_id, "dispatch": dispatch, "error": error, "slot": slot()}
        return self.database.row("unrunnable", facts)

    def revoked(
        self, job_id: str, *, terminated: bool, reason: str, dispatch: int | None = None
    ) -> Any:
        """Record that Celery revoked the job, or that this delivery of it expired.

        Says how it stood and whether that changed it (was, is_changed); None: no such job.
        """
        facts = {"id": job_id, "terminated": terminated, "reason": reason}
        facts |= {"dispatch": dispatch, "slot": slot()}
        return self.database.row("revoked", facts)


def patiently(call: Callable[[], T], seconds: float) -> T:
    """Call again while the database is away, for at most so many seconds; then raise."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    while True:
        try:
            return call()
        except (DatabaseUnavailable, *TRANSIENT_ERRORS):
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)
