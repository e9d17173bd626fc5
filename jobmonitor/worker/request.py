"""What main does around a job: the ends that are not the task's own, and force stop.

Runs in: the worker's main process, in its event loop. It must not block: what needs Postgres
goes through `WorkerSide.end`, row first, then Celery's side, then the ack.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery import signals as celery_signals
from celery.utils.serialization import get_pickled_exception
from celery.worker.request import Request
from celery.worker.state import revoked as revoked_ids
from celery.worker.state import task_ready
from kombu.exceptions import KombuError
from kombu.utils.imports import symbol_by_name

from jobmonitor.attempt import NoRow, Requeued
from jobmonitor.delivered import CONTENT_TYPE
from jobmonitor.dispatch import HEADER, header_of, number_of
from jobmonitor.errors import JobMonitorError
from jobmonitor.states import Status
from jobmonitor.transport import consumer
from jobmonitor.worker.side import WorkerSide
from jobmonitor.worker.unrunnable import said_of

logger = logging.getLogger(__name__)


class JobRequest(Request):
    """A delivered job in the worker's main process."""

    _kill_when_accepted = False
    _force_stopped = False
    _timed_out = False
    _terminated_in_greenlet = False

    def __init__(self, message: Any, *args: Any, **options: Any) -> None:
        """Note how a producer that knew nothing of us had serialized the message."""
        super().__init__(message, *args, **options)
        hints = header_of(self._request_dict)
        if "dispatch" not in hints:
            self._request_dict[HEADER] = {**hints, CONTENT_TYPE: message.content_type}

    @property
    def side(self) -> WorkerSide:
        """The threads beside the pool."""
        return self._app.jobmonitor.worker_side

    @property
    def dispatch(self) -> int | None:
        """Our number of this delivery; None where the producer knew nothing of us."""
        return number_of(self._request_dict)

    # -- taken until acknowledged ----------------------------------------------------------

    def acknowledge(self) -> None:
        """Celery's own; a greenlet that Celery killed has not ended its job."""
        if self.id not in self._interrupted:
            self.side.taken.discard(self)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """Celery's own."""
        self.side.taken.discard(self)
        super().reject(requeue)

    # -- force stop ------------------------------------------------------------------------

    @property
    def process(self) -> int | None:
        """The process that runs it; a pool of greenlets says something else for it."""
        return self.worker_pid if self.side.pool_kills else os.getpid()

    def force_stop(self, pool: Any, pid: int) -> str:
        """Kill the pool process that runs this attempt, and what the job started."""
        if self.acknowledged or self._force_stopped:
            return "ended already"
        if not self.side.pool_kills:
            return "this pool cannot kill; the attempt is fenced out"
        if self.worker_pid is None:
            self._kill_when_accepted = True
            return "not accepted yet; killed when it is"
        if self.worker_pid != pid:
            return "another process runs it"
        self._force_stopped = True
        try:
            if os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return "gone already"
        pool.terminate_job(pid, signal.SIGKILL)
        return "killed"

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Learn the process; kill it if a force stop came first."""
        self.side.taken.add(self)
        consumer.began(self.message)
        super().on_accepted(pid, time_accepted)
        if self._kill_when_accepted:
            self.force_stop(self.side.worker.pool, pid)

    # -- interrupted by Celery -------------------------------------------------------------

    @property
    def _interrupted(self) -> set[str]:
        """The jobs that Celery ends in this very process."""
        interrupted: set[str] = self._app.jobmonitor.execution.interrupted
        return interrupted

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Celery's revoke of a running task; a greenlet that ends by it did not end itself."""
        if pool.is_green:
            self._terminated_in_greenlet = True
            self._interrupted.add(self.id)
        super().terminate(pool, signal)

    def _forget(self) -> None:
        """Let go of what is recorded as revoked; as interrupted once its greenlet has ended."""
        if not self._terminated_in_greenlet:
            return
        self.side.taken.discard(self)
        greenlet = self._apply_result and self._apply_result()
        if greenlet is None:
            self._interrupted.discard(self.id)
        else:
            greenlet.link(lambda _: self._interrupted.discard(self.id))

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """Celery's cold shutdown; a pool that cannot end a job waits for it."""
        if not self.side.pool_kills and not pool.is_green:
            return
        self._interrupted.add(self.id)
        super().cancel(pool, signal, emit_retry)

    # -- ends ------------------------------------------------------------------------------

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """Celery's own for a task's error; ours where the process was lost."""
        error = get_pickled_exception(exc_info.exception)
        error = getattr(error, "exc", error)
        if self._force_stopped:
            task_ready(self)
            self.side.end(self._note_taken)
            return None
        if isinstance(error, TimeLimitExceeded) and not return_ok:
            return None  # `on_timeout` follows and ends it
        if isinstance(error, Requeued):
            return self._requeued()
        if isinstance(error, NoRow):
            return self._set_aside(str(error))
        lost = isinstance(error, (WorkerLostError, Terminated, SystemExit))
        if lost and self._already_revoked:
            task_ready(self)
            return None  # what was revoked is acknowledged once that is recorded
        if not lost or self._already_cancelled:
            self._record_unrunnable(error)
            return super().on_failure(exc_info, send_failed_event, return_ok)
        task_ready(self)
        self.side.end(lambda: self._lost(str(error)))
        return None

    def _note_taken(self) -> Callable[[], Any]:
        """Let a resume know that this message is gone, also where the claim was forgotten."""
        facts = {"id": self.id, "dispatch": self.dispatch}
        self.side.monitor.database.rows("note_taken", facts)
        return self.acknowledge

    def _requeued(self) -> None:
        task_ready(self)
        self.acknowledge()
        self.send_event("task-rejected", requeue=True)

    def _set_aside(self, reason: str) -> None:
        """Keep a message that names a job which is not there, as after a restored database."""
        task_ready(self)
        if not consumer.quarantine(self.message, reason):
            self.acknowledge()

    def _record_unrunnable(self, error: BaseException) -> None:
        """Record what ended before its claim: nothing could read the message, or run it."""
        if isinstance(error, (KombuError, JobMonitorError)) and self.dispatch is not None:
            self.side.end_unrunnable(self.id, self.dispatch, said_of(error))

    def _lost(self, reason: str) -> Callable[[], Any]:
        """Take the job from the process that died; then acknowledge the old delivery."""
        row = self.side.rescue.lose(
            self.id, worker=self.side.worker_id, pid=self.process, dispatch=self.dispatch,
            reason=reason,
        )  # fmt: skip
        logger.warning("job %s lost its process: %s", self.id, reason)
        if row is None:
            self._tell_result()
        if row is None and self.dispatch is None:
            return lambda: self.reject(requeue=True)
        return self.acknowledge

    def _tell_result(self) -> None:
        if not self._ignore_result:
            self.side.rescue.tell_result(self.id, worker=self.side.worker_id, pid=self.process)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A hard time limit is an end: the row first, then Celery's side, then the ack."""
        if soft or self._timed_out:
            super().on_timeout(soft, timeout)
            return
        self._timed_out = True
        task_ready(self)
        self.side.end(lambda: self._limit(timeout))

    def _limit(self, timeout: float) -> Callable[[], Any]:
        self.side.monitor.store.end_by_main(
            self.id,
            worker=self.side.worker_id,
            pid=self.process,
            dispatch=self.dispatch,
            reason=f"TimeLimitExceeded: hard time limit of {timeout:g} s",
        )
        return lambda: super(JobRequest, self).on_timeout(False, timeout)

    def _announce_revoked(
        self, reason: str, terminated: bool, signum: Any, expired: bool
    ) -> None:
        """What Celery itself ends (expired, revoked) is recorded before it is acknowledged.

        A copy of what runs, has ended or was published anew says nothing about the job.
        """
        self._already_revoked = True
        announce = super()._announce_revoked

        def write() -> Callable[[], Any]:
            number = self.dispatch if expired else None
            row = self.side.revoke(
                self.id, terminated=terminated, reason=reason, dispatch=number
            )
            if row is None:
                end = partial(announce, reason, terminated, signum, expired)
            elif row.is_changed or row.was == Status.CANCELED:
                end = partial(self._say_revoked, terminated, signum, expired)
            else:
                end = partial(self._drop_copy, expired)
            return partial(self._end_revoked, end)

        self.side.end(write)

    def _end_revoked(self, end: Callable[[], Any]) -> None:
        self._forget()
        end()

    def _say_revoked(self, terminated: bool, signum: Any, expired: bool) -> None:
        """Do what Celery does for what is revoked; its backend was told from the outbox."""
        facts = {"terminated": terminated, "signum": signum, "expired": expired}
        task_ready(self)
        self.send_event("task-revoked", **facts)
        self.acknowledge()
        celery_signals.task_revoked.send(sender=self.task, request=self._context, **facts)

    def _drop_copy(self, expired: bool) -> None:
        if expired:
            revoked_ids.discard(self.id)
        task_ready(self)
        self.acknowledge()


def with_own(request: Any) -> Any:
    """Stand before a Request class of the app's own, so that its methods are called too."""
    own = symbol_by_name(request)
    return type("JobRequest", (JobRequest, own), {}) if own is not Request else JobRequest
