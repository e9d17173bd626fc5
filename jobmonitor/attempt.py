"""One attempt of a job: claim it, run the task's code, record how it ended.

Runs in: the process that runs the task, inside Celery's tracer. The outcome is on disk before
control returns to the tracer; a job that owes a link, a chain step or a chord part is marked
continued after Celery's task_postrun, and a redelivery before that repeats only the tail.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from uuid import uuid4

from billiard.common import terminate_handler_fired
from celery import Celery, states
from celery.backends.base import DisabledBackend
from celery.exceptions import Ignore, Reject, Retry, WorkerShutdown, WorkerTerminate

from jobmonitor import greenlets, signals
from jobmonitor.current import enter, is_alone_here, leave, running_job
from jobmonitor.delivered import fix_ids, message_of
from jobmonitor.dispatch import Dispatch, number_of
from jobmonitor.errors import (
    CheckpointRefused,
    DatabaseUnavailable,
    JobInterrupt,
    JobStopped,
    TaskExited,
)
from jobmonitor.failpoints import reach
from jobmonitor.job import LOGGER, Identity, RunningJob
from jobmonitor.job_log import JobLog
from jobmonitor.outcomes import Outcomes
from jobmonitor.records import soft_limit
from jobmonitor.records.attempt_writes import AttemptWrites
from jobmonitor.records.store import Delivery, Ending, Report, Store, Turn, patiently
from jobmonitor.redaction import Redactor, words
from jobmonitor.settings import Settings
from jobmonitor.submission import Submission
from jobmonitor.task_options import TaskOptions, options_of

logger = logging.getLogger(__name__)
_REQUEUE_DELAY = 1.0


class Requeued(Reject):
    """The task asked for a requeue: its turn is published, this delivery is acknowledged."""


class NoRow(Ignore):
    """The message names a job that is not there; it is set aside, and nothing runs."""


class Execution:
    """Runs the jobs of one app in this process."""

    def __init__(
        self,
        app: Celery,
        store: Store,
        dispatch: Dispatch,
        submission: Submission,
        settings: Settings,
    ) -> None:
        self._app = app
        self._store = store
        self._dispatch = dispatch
        self._submission = submission
        self._settings = settings
        self._redactor = Redactor(settings.redact, settings.shown_max)
        self._outcomes = Outcomes(app, self._redactor)
        self._job_log = JobLog(store.database, settings)
        #: the `worker` row of this process' main; set before the pool starts
        self.worker = f"{os.uname().nodename}-{os.getpid()}"
        self._options: dict[Any, TaskOptions] = {}
        #: jobs that main ends in this very process, as gevent's pool can
        self.interrupted: set[str] = set()

    def run(self, task: Any, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Claim the delivered job and run it; what Celery's tracer is to do comes back.

        Raises Ignore where nothing may run, Reject(requeue=True) while the database is away.
        """
        number = number_of(task.request)
        delivery = self._delivery(task, number or 1)
        with soft_limit.held_back():  # from the claim on, `after` must know the job
            claimed = self._claim(task, delivery, is_known=number is not None)
            if claimed.verdict not in {"run", "mine", "continue"}:
                return self._refuse(task, claimed)
            job = self._job(task, delivery, claimed, args, kwargs)
            self._job_log.begin(job)
            enter(job)
        if claimed.verdict == "continue":
            job.active = False
            return self._outcomes.replay(claimed)
        self._announce(task, claimed)
        return self._perform(task, job, partial(call, *args, **kwargs))

    # -- claim -----------------------------------------------------------------------------

    def _claim(self, task: Any, delivery: Delivery, *, is_known: bool) -> Any:
        request = task.request
        claim = partial(self._store.claim, delivery)
        try:
            claimed = patiently(claim, self._settings.claim_patience)
            if claimed is None and not is_known:
                self._submission.adopt(message_of(task), task)
                claimed = patiently(claim, self._settings.claim_patience)
        except DatabaseUnavailable as error:
            logger.warning("job %s goes back to the broker: %s", request.id, error)
            raise Reject(str(error), requeue=True) from error
        if claimed is None:
            logger.error("a message of job %s has no row; it is not run", request.id)
            raise NoRow(f"there is no job {request.id}, which its message names")
        return claimed

    def _delivery(self, task: Any, number: int) -> Delivery:
        request = task.request
        options = self._options_of(task)
        return Delivery(
            id=request.id,
            dispatch=number,
            claimed_as=uuid4().hex[:12],
            worker=self.worker,
            pid=os.getpid(),
            system=options.system,
            stoppable=options.stoppable,
            restartable=options.restartable,
            rerun=options.rerun,
            continues=fix_ids(request),
            lost_after=self._settings.lost_after,
            lost_max=self._settings.lost_max,
            lost_reason=_lost_reason(options.rerun, self._settings.lost_max),
        )

    def _options_of(self, task: Any) -> TaskOptions:
        options = self._options.get(task)
        if options is None:
            options = self._options[task] = options_of(task, self._settings, task.name)
        return options

    def _refuse(self, task: Any, claimed: Any) -> Any:
        """End a delivery that may not run: nothing runs, and Celery acknowledges it.

        Of a job that ended at the cap on lost workers Celery is told from the outbox.
        """
        logger.info(
            "a delivery of job %s is dropped: %s, the job is %s",
            task.request.id, claimed.verdict, claimed.was,
        )  # fmt: skip
        raise Ignore(claimed.verdict)

    def _job(
        self, task: Any, delivery: Delivery, claimed: Any, args: Any, kwargs: Any
    ) -> RunningJob:
        secrets = self._redactor.secrets(task.run, args, kwargs)
        identity = Identity(
            id=task.request.id,
            root_id=claimed.root_id,
            parent_id=claimed.parent_id,
            step_of=claimed.step_of,
            run=claimed.run,
            attempt=claimed.attempt,
            stoppable=claimed.stoppable,
            checkpoint=claimed.checkpoint,
            progress_total=claimed.progress_total,
        )
        job = RunningJob(
            identity,
            AttemptWrites(self._store, delivery, claimed.attempt),
            interval=self._settings.progress_interval,
            checkpoint_max=self._settings.checkpoint_max,
            scrub=lambda text: self._redactor.text(text, secrets),
        )
        job.tail.secrets = secrets
        job.tail.owed = fix_ids(task.request)
        return job

    def _announce(self, task: Any, claimed: Any) -> None:
        """Tell the result backend that a run begins; where that fails the job still runs."""
        request, backend = task.request, task.backend
        try:
            if claimed.outbox == "forget" and not isinstance(backend, DisabledBackend):
                backend.forget(request.id)
            if task.track_started_by_app and not (task.ignore_result or request.ignore_result):
                meta = {"pid": os.getpid(), "hostname": request.hostname}
                backend.store_result(request.id, meta, states.STARTED, request=request)
        except Exception as error:
            logger.warning("the result backend was not told of job %s: %r", request.id, error)
        signals.job_started.send(sender=task.name, job_id=request.id, attempt=claimed.attempt)

    # -- run -------------------------------------------------------------------------------

    def _perform(self, task: Any, job: RunningJob, call: Callable[[], Any]) -> Any:
        try:
            with _warnings_of_its_own():
                value = call()
        except BaseException as error:
            raised = self._broke_off(task, job, error)
            if raised is error:
                raise
            raise raised from error
        if job.tail.prepared is not None:
            self._take_another_turn(job, self._asked_turn(task, job, "throw=False"))
        else:
            self._finish(task, job, self._outcomes.success(job, value))
        return value

    def _broke_off(self, task: Any, job: RunningJob, error: BaseException) -> BaseException:
        """Record what the task's code raised; the answer is what Celery's tracer is to see."""
        if isinstance(error, JobInterrupt):
            job.active = False
            if isinstance(error, JobStopped):
                signals.job_stopped.send(sender=task.name, job_id=job.id)
            return Ignore(str(error))
        if self._is_ended_from_outside(task, error):
            job.active = False
            return error
        if isinstance(error, Retry):
            turn = Turn("retry", "retry", job.scrub(words(error)), retried=True)
            self._take_another_turn(job, turn)
            return error
        if isinstance(error, Ignore):
            self._ignored(task, job)
            return error
        if isinstance(error, Reject) and error.requeue:
            job.tail.turn_delay = _REQUEUE_DELAY
            turn = Turn("requeue", "retry", job.scrub(words(error)), retried=True)
            self._take_another_turn(job, turn)
            return Requeued(error.reason, requeue=True)
        return self._failed(task, job, error)

    def _failed(self, task: Any, job: RunningJob, error: BaseException) -> BaseException:
        if not isinstance(error, Exception):
            error = TaskExited(error)
        if job.tail.prepared is not None:
            reason = job.scrub(f"{type(error).__name__}: {error}")
            self._take_another_turn(job, self._asked_turn(task, job, reason))
            return error
        self._finish(task, job, self._outcomes.failure(job, error))
        return error

    def _is_ended_from_outside(self, task: Any, error: BaseException) -> bool:
        """Say whether the worker ends this attempt; what becomes of it is main's to say."""
        if isinstance(error, (WorkerShutdown, WorkerTerminate)) or terminate_handler_fired():
            return True
        if greenlets.is_killed(error):
            return task.request.id in self.interrupted
        side = getattr(self._app.jobmonitor, "worker_side", None)
        of_pool = getattr(side.worker.pool, "timeout", None) if side is not None else None
        of_job = (task.request.timelimit or (None,))[0]
        return greenlets.is_over_limit(error, (of_job, task.time_limit, of_pool))

    def _ignored(self, task: Any, job: RunningJob) -> None:
        if job.tail.prepared is not None:
            self._take_another_turn(job, self._asked_turn(task, job, "throw=False"))
        elif job.tail.replaced:
            self._take_another_turn(
                job, Turn("replace", "members", "a canvas stands in for it")
            )
        else:
            self._finish(task, job, Ending(has_errors=job.has_errors))

    def _asked_turn(self, task: Any, job: RunningJob, reason: str) -> Turn:
        """Make the turn that the task asked for before it went on: a replace, else a retry."""
        if not job.tail.replaced:
            return Turn("retry", "retry", reason, retried=True)
        changed = None if job.tail.prepared.name == task.name else job.tail.prepared.name
        return Turn("replace", "queued", "replaced by the task", type=changed)

    def _take_another_turn(self, job: RunningJob, turn: Turn) -> None:
        """Note the turn; it is written when Celery's tracer is done with this attempt."""
        job.active = False
        job.tail.turn = turn

    # -- record the end --------------------------------------------------------------------

    @soft_limit.held_back()
    def _finish(self, task: Any, job: RunningJob, ending: Ending) -> None:
        """Store the end; it is on disk when this returns. Raises Ignore where fenced out."""
        job.active = False
        reach("before_finish")
        if ending.error is not None:
            job.log.add(logging.ERROR, LOGGER, ending.traceback or ending.error, always=True)
        report = self._last_report(job)
        write = partial(job.recorder.finish, report, ending)
        stored = patiently(partial(_after_log, job, write), self._settings.database_patience)
        if stored is None and not job.recorder.is_finished():
            logger.info("the end of job %s is refused: the attempt was fenced out", job.id)
            raise Ignore(f"job {job.id} is no longer this attempt's")
        job.tail.ending = ending
        job.tail.in_group = bool(stored and stored.in_group)
        reach("after_finish_before_continue")
        signals.job_finished.send(sender=task.name, job_id=job.id, has_errors=ending.has_errors)

    def _last_report(self, job: RunningJob) -> Report:
        patience = self._settings.database_patience
        try:
            return patiently(job.last_report, patience)
        except CheckpointRefused as error:
            why = f"the last checkpoint is not kept: {error}"
            job.log.add(logging.WARNING, LOGGER, why, always=True)
            return patiently(job.last_report, patience)

    # -- after Celery's tail ---------------------------------------------------------------

    def after(self, task: Any, task_id: str, state: str | None, retval: Any) -> None:
        """Do what comes after the tracer is done with a job: Celery's task_postrun."""
        job = running_job()
        if job is None or job.id != task_id:
            return
        try:
            if job.tail.turn is not None:
                self._take_turn(task, job, job.tail.turn)
            else:
                self._continue(task, job, state, retval)
            self._write_the_rest(job)
        finally:
            leave()

    def _write_the_rest(self, job: RunningJob) -> None:
        """Write what Celery's tail logged; where that fails now, it is tried again soon."""
        ending = job.tail.ending
        try:
            if ending is not None and job.has_errors and not ending.has_errors:
                self._store.taint(job.id, job.attempt)
            job.log.flush()
        except DatabaseUnavailable as error:
            logger.warning("the last lines of job %s wait: %s", job.id, error)

    def _continue(self, task: Any, job: RunningJob, state: str | None, retval: Any) -> None:
        if state == states.FAILURE and job.tail.ending is None and job.active:
            self._finish(task, job, self._outcomes.failure(job, retval))
        failed = job.tail.ending is not None and job.tail.ending.error is not None
        if state == states.FAILURE and job.tail.ending is not None and not failed:
            ending = self._outcomes.failure(job, retval)
            job.log.add(logging.ERROR, LOGGER, ending.traceback or "", always=True)
            self._store.spoil(job.id, job.attempt, ending.error or "")
        if job.tail.owed:
            done = partial(
                self._store.continue_, job.id, job.attempt, fired=state == states.SUCCESS
            )
            patiently(done, self._settings.database_patience)
        if job.tail.in_group:
            self._store.close_group(job.root_id)

    def _take_turn(self, task: Any, job: RunningJob, turn: Turn) -> None:
        """Write and publish another turn, now that this attempt has ended for good."""
        try:
            patiently(partial(self._publish_turn, job, turn), self._settings.database_patience)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            logger.exception("another turn of job %s could not be published", job.id)
            ending = self._outcomes.failure(job, error)
            job.log.add(logging.ERROR, LOGGER, ending.traceback or "", always=True)
            job.recorder.finish(Report(), ending)
            task.backend.mark_as_failure(job.id, error, request=task.request)

    def _publish_turn(self, job: RunningJob, turn: Turn) -> None:
        turn = self._submission.turn(job.tail.prepared, turn, job.tail.turn_delay)
        job.log.flush()
        with self._store.database.transaction() as connection:
            report = self._last_report(job)
            row = job.recorder.again(connection, report, turn)
            if row is None or row.status != "pending" or turn.because == "members":
                return
            if job.tail.prepared is None:
                self._dispatch.publish_again(row)
                return
            self._submission.publish_within(connection, job.tail.prepared, row)


def _after_log(job: RunningJob, write: Callable[[], Any]) -> Any:
    """Write what the job logged, then its end: where that is on disk, the log is too."""
    job.log.flush()
    return write()


def _warnings_of_its_own() -> AbstractContextManager[Any]:
    """Let each job see a warning that Python shows once a process; only where it is alone."""
    return warnings.catch_warnings() if is_alone_here() else nullcontext()


def _lost_reason(rerun: bool, lost_max: int) -> str:
    if not rerun:
        return "its worker was lost, and its task must not run twice (on_worker_lost='fail')"
    return f"its worker was lost {lost_max + 1} times"
