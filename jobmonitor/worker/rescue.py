"""What lost workers held runs again; what Celery has not been told is told.

Runs in: the worker's main process, in the thread of the rounds. One worker at a time does it:
the lock is Postgres' and goes with the connection.
"""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import Any

from celery.app.task import Context
from celery.backends.base import DisabledBackend
from celery.exceptions import TaskRevokedError
from celery.states import READY_STATES as READY
from celery.states import REVOKED
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from jobmonitor.dispatch import Stored
from jobmonitor.errors import WorkerLost
from jobmonitor.places import Place, belonging
from jobmonitor.records.database import fetch
from jobmonitor.task_options import options_of
from jobmonitor.transport import consumer
from jobmonitor.worker import presence
from jobmonitor.worker.chords import ChordKeeper

logger = logging.getLogger(__name__)
BROKER_ERRORS = (OperationalError, OSError, RedisError)
_SILENT = "its worker was silent for {seconds:g} s"
_GONE = "its worker's process is gone"
_SHUT_DOWN = "its worker was shut down"
_HOUR = 3600.0
_CANCELED = "canceled"
_DAYS_AHEAD = 7


class Rescue:
    """Rescues jobs of workers that are gone, and empties the outbox."""

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor
        self._database = monitor.database
        self._chords = ChordKeeper(monitor)
        self._days_due = 0.0

    def run(self) -> None:
        """Do one round, unless another worker is at it."""
        self.empty_outbox()
        with self._database.transaction() as connection:
            if not fetch(connection, "elect", {})[0].elected:
                return
            settings = self._monitor.settings
            silent = fetch(connection, "lost_workers", {"lost_after": settings.lost_after})
            reason = _SILENT.format(seconds=settings.lost_after)
            lost = {row.id: reason for row in silent}
            own = self._monitor.execution.worker
            lost |= dict.fromkeys(presence.dead_here(self._database, own), _GONE)
            lost.pop(own, None)
            for worker_id, why in lost.items():
                self.worker_is_lost(worker_id, why)
            self._database.rows("close_groups", {})
            self._chords.run()
            self._monitor.waiting.release_left(self._monitor.app.amqp.queues)
        self._prepare_days()

    def _prepare_days(self) -> None:
        """Once an hour, make sure that the logs of the coming days have their partitions."""
        if time.monotonic() >= self._days_due:
            self._days_due = time.monotonic() + _HOUR
            self._database.rows("prepare_days", {"ahead": _DAYS_AHEAD})

    def worker_is_lost(self, worker_id: str, reason: str) -> None:
        """Take every job from a worker that is gone, then mark it so."""
        held = self._database.rows("held_by_worker", {"worker": worker_id})
        self._database.rows("mark_worker_lost", {"id": worker_id})
        claimed_since = self._database.rows("held_by_worker", {"worker": worker_id})
        for row in {row.id: row for row in [*held, *claimed_since]}.values():
            if row.is_done:
                self.tell_result(row.id, worker=worker_id, pid=None)
            else:
                self.lose(
                    row.id, worker=worker_id, pid=None, dispatch=row.dispatch, reason=reason
                )
        self._restore_deliveries(worker_id)
        self._database.rows("end_worker", {"id": worker_id})
        logger.warning(
            "jobmonitor: worker %s is lost (%s), %d jobs", worker_id, reason, len(held)
        )

    def hand_back(self, worker_id: str, ids: list[str]) -> None:
        """Publish again what a worker that was shut down did not finish; its pool has ended.

        It does not count as lost. What still runs is killed first, so nothing runs twice.
        """
        rows = self._database.rows("left_behind", {"worker": worker_id, "ids": ids})
        for row in rows:
            if row.is_done:
                self.tell_result(row.id, worker=worker_id, pid=None)
                continue
            presence.kill_group(row.worker_pid)
            lost = self.lose(
                row.id, worker=worker_id, pid=row.worker_pid, dispatch=row.dispatch,
                reason=_SHUT_DOWN, counts=False,
            )  # fmt: skip
            if lost is not None:
                logger.warning("jobmonitor: job %s was not finished: %s", row.id, lost.outcome)

    def lose(
        self, job_id: str, *, worker: str, pid: int | None, dispatch: int | None, reason: str,
        counts: bool = True,
    ) -> Any:  # fmt: skip
        """Take one job from a process that is gone and publish it again; what became of it."""
        settings = self._monitor.settings
        with self._database.transaction() as connection:
            row = self._monitor.store.lose(
                connection, job_id, worker=worker, pid=pid, dispatch=dispatch,
                rerun=self._reruns(job_id), lost_max=settings.lost_max, reason=reason,
                counts=counts,
            )  # fmt: skip
            if row is not None and row.outcome in {"again", "tail"}:
                self._monitor.dispatch.publish_again(row)
        if row is not None:
            self._monitor.store.close_group(row.root_id)
        return row

    def tell_result(self, job_id: str, *, worker: str, pid: int | None) -> None:
        """Store Celery's result of a job whose process died between its finish and that.

        The value is what the row keeps of it; where that is not the whole value, or an error,
        the caller of `get()` learns that the job ended and its result did not survive.
        """
        row = self._database.row("ended_as", {"id": job_id})
        if row is None or row.status != "finished" or row.worker != worker:
            return
        if pid is not None and row.worker_pid != pid:
            return
        backend = self._backend(row.type)
        if isinstance(backend, DisabledBackend) or backend.get_state(job_id) in READY:
            return
        if row.error is None and row.result_is_whole:
            backend.mark_as_done(job_id, json.loads(row.result), Context({"id": job_id}))
        else:
            lost = WorkerLost(row.error or "it finished, but its result was lost on the way")
            backend.mark_as_failure(job_id, lost, request=Context({"id": job_id}))

    def _backend(self, task_name: str) -> Any:
        """The result backend of a task's jobs: its own, or that of the app."""
        task = self._monitor.app.tasks.get(task_name)
        return self._monitor.app.backend if task is None else task.backend

    def _reruns(self, job_id: str) -> bool:
        rows = self._database.rows("type_of", {"id": job_id})
        if not rows:
            return True
        app = self._monitor.app
        task = app.tasks.get(rows[0].type)
        return options_of(task, self._monitor.settings, rows[0].type).rerun

    def _restore_deliveries(self, worker_id: str) -> None:
        """Let the broker give back what the lost worker had taken and not begun.

        Stock kombu cannot tell whose delivery is whose: a copy of what lives is refused by its
        claim.
        """
        app = self._monitor.app
        options = dict(app.conf.broker_transport_options or {})
        options["visibility_timeout"] = 0
        try:
            with app.connection_for_write(transport_options=options) as connection:
                channel = connection.default_channel
                if consumer.give_back(channel, app.amqp.queues, worker_id):
                    return
                qos = channel.qos
                restore = getattr(qos, "restore_visible", None)
                if restore is not None:
                    restore(num=100_000)
        except BROKER_ERRORS as error:
            logger.warning("jobmonitor: deliveries were not restored: %r", error)

    # -- outbox ----------------------------------------------------------------------------

    def empty_outbox(self, job_id: str | None = None) -> None:
        """Tell what is owed, or of one job; what cannot be told is tried at the next beat."""
        failed: list[str] = []
        while True:
            with self._database.transaction() as connection:
                rows = fetch(connection, "outbox", {"failed": failed, "id": job_id})
                if not rows:
                    return
                if self._tell(rows[0]):
                    fetch(connection, "told", {"id": rows[0].id})
                else:
                    failed.append(rows[0].id)

    def _tell(self, row: Any) -> bool:
        """Tell Celery of an end that it did not see: result, chord part, errbacks."""
        request = self._context(row)
        task = self._monitor.app.tasks.get(request.task)
        facts = {"request": request, "store_result": _stores_errors(task, request)}
        backend = self._backend(row.type)
        if row.outbox == "revoke":
            why = row.revoked_as or _CANCELED
            tell = partial(_tell_revoked, backend, row.id, why, facts)
        else:
            error = WorkerLost(row.error)
            tell = partial(backend.mark_as_failure, row.id, error, **facts)
        place = belonging.set(self._around(row))
        try:
            tell()
        except Exception:
            logger.exception("jobmonitor: Celery could not be told of the end of %s", row.id)
            return False
        finally:
            belonging.reset(place)
        return True

    def _around(self, row: Any) -> Place:
        """Place what is submitted because of this end: not below what is canceled."""
        if row.outbox == "fail":
            return Place(row.id)
        held = self._database.row("held", {"id": row.parent_id}) if row.parent_id else None
        return Place(row.parent_id) if held and held.hold != "cancel" else Place()

    def _context(self, row: Any) -> Context:
        if row.envelope is None:
            return Context({"id": row.id})
        message = self._monitor.dispatch.unpack(Stored(row.envelope, bytes(row.body)))
        args, kwargs, embed = message.body
        facts = message.headers | {"args": args, "kwargs": kwargs} | dict(embed or {})
        return Context(facts)


def _stores_errors(task: Any, request: Context) -> bool:
    """Say whether the result of a job that failed is stored, as Celery's own request does."""
    ignores = request.ignore_result
    if ignores is None:
        ignores = getattr(task, "ignore_result", False)
    return not ignores or bool(getattr(task, "store_errors_even_if_ignored", False))


def _tell_revoked(backend: Any, job_id: str, why: str, facts: dict[str, Any]) -> None:
    """Tell of a canceled job as of a revoked one, and the chain that waits behind it.

    Celery leaves that chain pending, and a chord that it is in waiting for ever.
    """
    backend.mark_as_revoked(job_id, why, **facts)
    chain = facts["request"].chain
    if chain:
        backend._fail_chain(chain, TaskRevokedError(why), state=REVOKED)
