"""Jobs, workers and the time they spend, for tests: one line per row that a test needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from celery import Celery
from psycopg.rows import namedtuple_row

from jobmonitor.dispatch import HEADER, Dispatch
from jobmonitor.operations import Operations, Outcome
from jobmonitor.records.attempt_writes import AttemptWrites
from jobmonitor.records.database import Database, fetch
from jobmonitor.records.job_view import JobView
from jobmonitor.records.queries import Queries
from jobmonitor.records.store import Delivery, Ending, Fence, NewJob, Report, Store, Turn, slot
from jobmonitor.states import Operation
from jobmonitor.waiting import Waiting

LOST_AFTER = 30.0
LOST_MAX = 3
NOTHING = Report()
RETURNED = Ending(has_errors=False, result="null")
RAISED = Ending(has_errors=True, error="ValueError: no")
_numbers = count(1)


def new_job(job_id: str | None = None, **facts: Any) -> NewJob:
    """A submission of the task shop.add, with a message that can be published."""
    job_id = job_id or f"job-{next(_numbers)}"
    name = facts.setdefault("type", "shop.add")
    envelope = {
        "name": name, "headers": {"id": job_id, "task": name}, "properties": {},
        "options": {}, "content_type": "application/json", "content_encoding": "utf-8",
    }  # fmt: skip
    values = {"queue": "celery", "envelope": json.dumps(envelope), "body": b"[[], {}, {}]"}
    return NewJob(id=job_id, **(values | facts))


class Records:
    """One database with what a story about it needs to say in a line.

    What would go to the broker is in `published`: (id, dispatch) in order.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url, pool_size=8)
        self.store = Store(self.database)
        self.queries = Queries(self.database)
        self.published: list[tuple[str, int]] = []
        app = Celery("records", broker="memory://", set_as_current=False)
        waiting = Waiting(app, self.database)
        self._operations = Operations(
            app, self.database, Dispatch(app, self._send, waiting), waiting
        )

    def _send(self, producer: Any, name: str, message: Any, **options: Any) -> None:
        self.published.append((message.headers["id"], message.headers[HEADER]["dispatch"]))

    # -- a job's life ----------------------------------------------------------------------

    def make(self, job_id: str | None = None, *, under: str | None = None, **facts: Any) -> str:
        """Submit a job; its message is not published."""
        job = new_job(job_id, parent_id=under, **facts)
        assert self.store.create(job) is not None
        return job.id

    def make_running(self, job_id: str | None = None, **facts: Any) -> str:
        """Submit a job and claim it."""
        made = self.make(job_id, **facts)
        assert self.claim(made).verdict == "run"
        return made

    def make_family(self, children: int = 2) -> tuple[str, ...]:
        """A running root and its pending children."""
        root = self.make_running()
        return (root, *(self.make(under=root) for _ in range(children)))

    def delivery(self, job_id: str, **facts: Any) -> Delivery:
        """The newest message of a job in the hands of process 7 of worker w1."""
        row = self.row(job_id)
        made = Delivery(
            id=job_id, dispatch=row.dispatch, claimed_as=f"claim-{next(_numbers)}", worker="w1",
            pid=7, system=row.system, stoppable=row.stoppable, restartable=row.restartable,
            rerun=True, continues=False, lost_after=LOST_AFTER, lost_max=LOST_MAX,
            lost_reason="its worker was lost 4 times",
        )  # fmt: skip
        return replace(made, **facts)

    def claim(self, job_id: str, **facts: Any) -> Any:
        """Deliver the newest message of a job; keywords as of Delivery."""
        return self.store.claim(self.delivery(job_id, **facts))

    def writes(self, job_id: str, **facts: Any) -> AttemptWrites:
        """Claim a job, and write as that attempt."""
        delivery = self.delivery(job_id, **facts)
        return AttemptWrites(self.store, delivery, self.store.claim(delivery).attempt)

    def forget_claim(self, before: Any) -> None:
        """Leave of a claim what a crash of Postgres may leave: the row as it was before."""
        names = ("status", "attempt", "claimed_as", "worker", "worker_pid", "taken_dispatch",
                 "waiting_since", "waited", "first_wait", "running_since", "started_at",
                 "continued", "system", "stoppable", "restartable")  # fmt: skip
        values = ", ".join(f"{name} = %s" for name in names)
        old = [getattr(before, name) for name in names]
        self.sql(f"UPDATE job SET {values} WHERE id = %s", *old, before.id)

    def fence(self, job_id: str) -> Fence:
        """What the writes of the current attempt are compared with."""
        row = self.row(job_id)
        return Fence(job_id, row.attempt, row.claimed_as or "")

    def advance(self, job_id: str, report: Report = NOTHING) -> str | None:
        """Report as the current attempt."""
        return self.store.advance(self.fence(job_id), report)

    def halt(self, job_id: str, report: Report = NOTHING) -> str | None:
        """Reach a safe point as the current attempt."""
        return self.store.halt(self.fence(job_id), report)

    def finish(self, job_id: str, ending: Ending = RETURNED, report: Report = NOTHING) -> Any:
        """End the current attempt."""
        return self.store.finish(self.fence(job_id), report, ending)

    def retry(self, job_id: str, **facts: Any) -> Any:
        """End the current attempt in a retry; nothing is published."""
        turn = Turn("retry", "retry", "as asked", retried=True, **facts)
        with self.database.transaction() as connection:
            return self.store.again(connection, self.fence(job_id), NOTHING, turn)

    def lose(self, job_id: str, *, dispatch: int | None = None, rerun: bool = True) -> Any:
        """Take a job from worker w1, which is gone; nothing is published."""
        with self.database.transaction() as connection:
            return self.store.lose(
                connection, job_id, worker="w1", pid=None, dispatch=dispatch, rerun=rerun,
                lost_max=LOST_MAX, reason="its worker is gone",
            )  # fmt: skip

    def told(self, job_id: str) -> None:
        """Celery knows the end of a job."""
        self.database.rows("told", {"id": job_id})

    def operate(self, operation: str, job_id: str, **facts: Any) -> Outcome:
        """Carry out an operation by its name."""
        [outcome] = self._operations.apply(Operation(operation), job_id, **facts)
        return outcome

    def hold(self, job_id: str, operation: str = "stop") -> None:
        """Write only the hold of an operation, as if its rows had not followed yet."""
        self.database.rows("put_hold", self._facts(job_id) | {"operation": operation})

    def _facts(self, job_id: str) -> dict[str, Any]:
        root = self.row(job_id).root_id
        return {"id": job_id, "root_id": root, "actor": None, "reason": None, "slot": slot()}

    # -- workers ---------------------------------------------------------------------------

    def worker(self, worker_id: str = "w1", pool: str = "prefork") -> str:
        """A worker that has just beaten."""
        self.sql("DELETE FROM worker WHERE id = %s", worker_id)
        facts = {
            "id": worker_id,
            "node": worker_id,
            "host": "here",
            "pid": 1,
            "pool": pool,
        }
        more = {"slots": 2, "queues": ["celery"], "version": "0"}
        self.database.rows("register_worker", facts | more)
        return worker_id

    def silence(self, worker_id: str) -> None:
        """Let the last beat of a worker be too long ago."""
        past = "UPDATE worker SET beat_at = clock_timestamp() - interval '1 h' WHERE id = %s"
        self.sql(past, worker_id)

    # -- what is there ---------------------------------------------------------------------

    def row(self, job_id: str) -> Any:
        """All columns of a job."""
        with self.database.connection() as connection:
            cursor = connection.cursor(row_factory=namedtuple_row)
            found = cursor.execute("SELECT * FROM job WHERE id = %s", (job_id,)).fetchone()
        assert found is not None, f"there is no job {job_id}"
        return found

    def status(self, *job_ids: str) -> str:
        """The statuses of jobs, one word each."""
        return " ".join(self.row(job_id).status for job_id in job_ids)

    def view(self, job_id: str) -> JobView:
        """A job as people see it."""
        found = self.queries.get(job_id)
        assert found is not None
        return found

    def has_message(self, job_id: str) -> bool:
        """Whether the publishable message is still there."""
        found = self.sql("SELECT count(*) FROM job_message WHERE job_id = %s", job_id)
        return bool(found[0][0])

    def holds(self) -> dict[str, str]:
        """Where which operation holds."""
        return dict(self.sql("SELECT job_id, operation FROM job_hold"))

    def events(self, job_id: str) -> list[str]:
        """The names of what is noted about a job, oldest first."""
        return [entry["event"] for entry in self.queries.events(job_id)]

    # -- time ------------------------------------------------------------------------------

    def let_pass(self, seconds: float, *job_ids: str) -> None:
        """Let so much time have passed for these jobs."""
        moments = ("created_at", "waiting_since", "running_since", "started_at", "finished_at")
        moments += ("due_at",)
        earlier = ", ".join(f"{name} = {name} - make_interval(secs => %s)" for name in moments)
        parameters = (*[seconds] * len(moments), list(job_ids))
        self.sql(f"UPDATE job SET {earlier} WHERE id = ANY(%s)", *parameters)

    def make_at(
        self,
        created: datetime,
        *,
        starts: datetime | None = None,
        wait: float | None = None,
        **facts: Any,
    ) -> str:
        """A job that was created then, and started then after so many seconds of waiting."""
        made = self.make(**facts) if starts is None else self.make_running(**facts)
        self.place(made, created, starts=starts, wait=wait)
        return made

    def place(
        self, job_id: str, created: datetime, *, starts: datetime | None, wait: float | None
    ) -> None:
        """Let a job have been created and its run started at these moments."""
        times = "UPDATE job SET created_at = %s, started_at = %s, first_wait = %s WHERE id = %s"
        self.sql(times, created, starts, wait, job_id)

    # -- SQL -------------------------------------------------------------------------------

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Run a statement of the test's own."""
        with self.database.connection() as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def clear(self) -> None:
        """Forget every job."""
        self.sql(
            "TRUNCATE job, job_message, job_children, job_run, job_hold, job_event, job_log, "
            "worker"
        )
        self.published.clear()

    def holding(self, job_id: str) -> Iterator[Any]:
        """Look for a hold above a job in a transaction that stays open, as a claim does."""
        with self.database.transaction() as connection:
            yield fetch(connection, "held", {"id": job_id})[0]
