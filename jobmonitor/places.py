"""Where a submitted job belongs: its parent, decided once and kept in its row.

Runs in: whoever submits. What Celery says of parent and root is not enough: a member of a
canvas from outside has none, and a chord's body is submitted by whichever member ends last.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import Celery

from jobmonitor.canvas import UNLOCK, ids_of, outermost_group
from jobmonitor.dispatch import HEADER, Message, header_of
from jobmonitor.job import RunningJob
from jobmonitor.records.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """Where a submitted job belongs; `group` is the id of a root that is to be opened."""

    parent_id: str | None = None
    parent_run: int | None = None
    step_of: str | None = None
    group: str | None = None
    key: str | None = None


#: where everything belongs that main submits on a job's behalf
belonging: ContextVar[Place | None] = ContextVar("jobmonitor_belonging", default=None)


class Places:
    """Finds the place of what one app submits."""

    def __init__(self, app: Celery, store: Store) -> None:
        self._app = app
        self._store = store

    def in_tail(self, job: RunningJob, task_id: str) -> Place:
        """Place what Celery submits after the task's code: chain step, chord body, link."""
        request, tail = self.request(), job.tail
        step = (request.get("chain") or [None])[-1]
        if tail.body_ids is None or tail.step_ids is None:
            tail.body_ids, tail.step_ids = ids_of(request.get("chord")), ids_of(step)
        if task_id in tail.body_ids:
            return Place(self._around(job, request) or job.id)
        if task_id in tail.step_ids:
            first = job.step_of or job.id
            step_of = first if task_id == step["options"].get("task_id") else None
            return Place(first, None if job.step_of else job.run, step_of=step_of)
        return Place(job.id, job.run)

    def outside(self, message: Message) -> Place:
        """Place what is submitted where no job runs: below a group, if it is in a canvas."""
        given = belonging.get()
        if given is not None:
            return given
        nearest = self._nearest()
        if nearest:
            return Place(nearest)
        parent = message.headers.get("parent_id")
        if parent and parent != message.id:
            return Place(parent)
        group = outermost_group(message.headers.get("group"), message.body[2])
        return Place(group, group=group) if group else Place()

    def mark_parent(self, message: Message, job: RunningJob | None) -> None:
        """Tell what an untracked task submits which job it belongs to.

        In the fair order it is apart: to stop or cancel the job does not touch it.
        """
        nearest = job.id if job else self._nearest()
        if message.name == UNLOCK:
            nearest = self._around_poll(message, job) or nearest
        if nearest:
            root = message.headers.get("root_id") or nearest
            message.headers[HEADER] = {"parent": nearest, "root": f"beside {root}"}

    def polls_for_chord(self) -> bool:
        """Say whether Celery's own poll runs here, which may submit a body twice."""
        task = self._app.current_worker_task
        return task is not None and task.name == UNLOCK

    def _around_poll(self, message: Message, job: RunningJob | None) -> str | None:
        """Name the job that the chord is in for whose header this message polls."""
        group, body = message.body[0][:2]
        if job is None:
            return self._nearest() or outermost_group(group, {"chord": body})
        if job.active:
            return job.id
        return self.in_tail(job, next(iter(ids_of(body)), "")).parent_id

    def _around(self, job: RunningJob, request: Any) -> str | None:
        """Name the job that a chord is in, of which this one is a member."""
        if request.get("group") == job.root_id:
            return job.root_id
        if job.step_of is None:
            return job.parent_id
        first = self._store.place(job.step_of)
        return first.parent_id if first else None

    def _nearest(self) -> str | None:
        """Name the job to which the untracked task that runs here belongs."""
        nearest: str | None = header_of(self.request()).get("parent")
        return nearest

    def request(self) -> Any:
        """Return the request of the task that runs here; an empty one where none does."""
        task = self._app.current_worker_task
        return task.request if task else {}
