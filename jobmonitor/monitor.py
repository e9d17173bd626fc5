"""JobMonitor: adopts a Celery app, and `monitor.jobs`: operations and queries.

Runs in: every process that imports the app. Adoption has two seams and does not depend on when
it happens: submission at `app.amqp.send_task_message`, execution by giving each task instance
the class `(JobMixin, its class)` before tracers are built.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from celery import Celery
from celery import signals as celery_signals
from celery.canvas import Signature
from celery.result import AsyncResult

from jobmonitor.attempt import Execution
from jobmonitor.dispatch import Dispatch
from jobmonitor.errors import ConfigurationError, JobNotFound, QueryRefused
from jobmonitor.insight import Insight
from jobmonitor.operations import Operations, Outcome
from jobmonitor.purging import cancel_purged
from jobmonitor.records.database import Database, migrate
from jobmonitor.records.job_view import JobView
from jobmonitor.records.logs import LogPage, Logs
from jobmonitor.records.queries import Filters, Node, Page, Queries
from jobmonitor.records.statistics import Statistics, read_statistics
from jobmonitor.records.store import Store
from jobmonitor.said import acting, person
from jobmonitor.setting_aside import SettingAside
from jobmonitor.settings import Settings
from jobmonitor.states import Operation, Status
from jobmonitor.submission import Submission
from jobmonitor.task import adopt_task
from jobmonitor.transport import alias, consumer
from jobmonitor.waiting import Waiting
from jobmonitor.worker import install

logger = logging.getLogger(__name__)
_ATTRIBUTE = "jobmonitor"
#: longer than any job: until the fair transport, Postgres tells a lost worker, not a timeout
VISIBILITY_TIMEOUT = 365 * 24 * 3600


class Jobs:
    """Operations and queries over the jobs of one app."""

    def __init__(self, monitor: JobMonitor) -> None:
        self._monitor = monitor
        self._queries = monitor.queries
        self._logs = Logs(monitor.database)
        self._operations = Operations(
            monitor.app, monitor.database, monitor.dispatch, monitor.waiting
        )

    def get(self, job_id: str, *, walk_max: int | None = None) -> JobView:
        """Read one job; raises JobNotFound. `walk_max` as of `Queries.get`."""
        found = self._queries.get(job_id, walk_max=walk_max)
        if found is None:
            raise JobNotFound(job_id)
        return found

    def find(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> Page:
        """Read a page of root jobs, newest first; filters as of `GET /api/v1/jobs`."""
        return self._queries.find(Filters(**filters), cursor=cursor, limit=limit)

    def some(self, ids: Sequence[str]) -> list[JobView]:
        """Read these jobs, those that there are, in any order."""
        return self._queries.some(ids)

    def tree(self, job_id: str, *, limit: int = 1_000) -> list[Node]:
        """Read a job and its descendants, depth first."""
        found = self._queries.tree(job_id, limit=limit)
        if not found:
            raise JobNotFound(job_id)
        return found

    def logs(self, job_id: str, **filters: Any) -> LogPage:
        """Read a page of what a job logged, newest first; filters as of `Logs.page`.

        Raises JobNotFound, and QueryRefused for a filter that makes no sense.
        """
        return self._logs.page(job_id, **filters)

    def last_line_id(self, job_id: str) -> int | None:
        """Read the id of the newest line of a job's log, or None; one indexed query."""
        return self._logs.last_line_id(job_id)

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """Read the audit of a job: operations, and transitions that nobody asked for."""
        return self._queries.events(job_id)

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """Read the earlier runs of a restarted job."""
        return self._queries.runs(job_id)

    def statistics(self, **filters: Any) -> Statistics:
        """Read creations and waiting times over time; keywords as of `read_statistics`."""
        return read_statistics(self._monitor.database, **filters)

    def wait_for(
        self,
        job_id: str,
        *statuses: Status | str,
        timeout: float = 60.0,
        interval: float = 0.1,
    ) -> JobView:
        """Wait until a job has one of these statuses (any final one if none are given).

        Raises JobNotFound, and TimeoutError after `timeout` seconds.
        """
        wanted = {_status(item) for item in statuses} or {Status.FINISHED, Status.CANCELED}
        deadline = time.monotonic() + timeout
        while True:
            job = self.get(job_id)
            if job.status in wanted:
                return job
            if time.monotonic() > deadline:
                names = " or ".join(sorted(item.shown for item in wanted))
                raise TimeoutError(
                    f"job {job_id} is {job.status.shown} after {timeout} s, not {names}"
                )
            time.sleep(interval)

    def stop(self, ids: str | Iterable[str], *, reason: str | None = None) -> list[Outcome]:
        """Ask jobs and their descendants to halt at their next checkpoint."""
        return self.apply(Operation.STOP, ids, reason=reason)

    def resume(self, ids: str | Iterable[str], *, reason: str | None = None) -> list[Outcome]:
        """Let stopped jobs go on from their last checkpoint."""
        return self.apply(Operation.RESUME, ids, reason=reason)

    def force_stop(
        self, ids: str | Iterable[str], *, reason: str | None = None
    ) -> list[Outcome]:
        """Kill the processes that run stopping jobs."""
        return self.apply(Operation.FORCE_STOP, ids, reason=reason)

    def cancel(self, ids: str | Iterable[str], *, reason: str | None = None) -> list[Outcome]:
        """Discard stopped jobs; cannot be undone."""
        return self.apply(Operation.CANCEL, ids, reason=reason)

    def restart(self, ids: str | Iterable[str], *, reason: str | None = None) -> list[Outcome]:
        """Run finished jobs again, in a new run of the same job."""
        return self.apply(Operation.RESTART, ids, reason=reason)

    def set_low_priority(
        self, ids: str | Iterable[str], *, reason: str | None = None
    ) -> list[Outcome]:
        """Let what has not started yet run when load is low."""
        return self.apply(Operation.SET_LOW_PRIORITY, ids, reason=reason)

    def remove_low_priority(
        self, ids: str | Iterable[str], *, reason: str | None = None
    ) -> list[Outcome]:
        """Take the low priority back."""
        return self.apply(Operation.REMOVE_LOW_PRIORITY, ids, reason=reason)

    def apply(
        self, operation: Operation, ids: str | Iterable[str], *, reason: str | None = None
    ) -> list[Outcome]:
        """Apply an operation by its name, as whoever `monitor.acting` names."""
        if operation not in set(Operation):
            known = ", ".join(Operation)
            raise ConfigurationError(f"there is no operation {operation!r}; they are {known}")
        operation = Operation(operation)
        return self._operations.apply(operation, ids, actor=acting.get(), reason=reason)


class JobMonitor:
    """Adopts a Celery app: every task of it becomes a job."""

    app: Celery
    settings: Settings

    def __init__(self, app: Celery | None = None, **settings: Any) -> None:
        """Adopt `app` now, or later by `init_app`; keywords as in `Settings`."""
        self._given = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Celery, **settings: Any) -> None:
        """Adopt an app, whenever its tasks were registered or touched.

        Nothing connects before the first job. Raises ConfigurationError for a setting that
        makes no sense, or an app that has been adopted already.
        """
        if getattr(app, _ATTRIBUTE, None) is not None:
            raise ConfigurationError(f"the app {app.main!r} has a JobMonitor already")
        self.app = app
        self.settings = Settings.of(**{**self._given, **settings})
        self.database = Database(self.settings.database_url)
        self.queries = Queries(self.database)
        self.store = Store(self.database)
        #: names of tasks whose acknowledgement changed from early to late
        self.made_late: list[str] = []
        self._adopt_submission()
        self._adopt_execution()
        setattr(app, _ATTRIBUTE, self)
        install(self)

    @cached_property
    def jobs(self) -> Jobs:
        """Operations and queries."""
        return Jobs(self)

    @cached_property
    def setting_aside(self) -> SettingAside:
        """Messages that nobody could deliver, and queues that are given up."""
        return SettingAside(self.app)

    @cached_property
    def insight(self) -> Insight:
        """Queues, the shares of root jobs, workers; and pausing a queue."""
        return Insight(self.app, self.database, self.settings.lost_after)

    @contextmanager
    def acting(self, who: str | None) -> Iterator[None]:
        """Say who submits and steers inside this block (`run_by`, and the audit)."""
        token = acting.set(None if who is None else person(who))
        try:
            yield
        finally:
            acting.reset(token)

    def submit_many(self, signatures: Iterable[Signature]) -> list[AsyncResult]:
        """Submit signatures in bulk; their results, in order.

        As `apply_async` of each, many times as fast: in batches of 1,000, rows in one statement
        and messages in one pipeline. Whatever this thread submits meanwhile is collected, too.
        Where the broker fails, the batch at hand is taken back and the error raised; where some
        ids are refused, the first refusal is raised and all others are submitted.
        """
        with self._bulk.collecting() as producer:
            return [item.apply_async(producer=producer) for item in signatures]

    def migrate(self) -> None:
        """Bring the database to the schema of this version."""
        migrate(self.settings.database_url)

    # -- adoption --------------------------------------------------------------------------

    def _adopt_submission(self) -> None:
        amqp = self.app.amqp
        sender: list[Any] = []

        def send(*args: Any, **kwargs: Any) -> Any:
            if not sender:
                sender.append(amqp._create_task_sender())
            return sender[0](*args, **kwargs)

        self.waiting = Waiting(self.app, self.database)
        self.dispatch = Dispatch(self.app, send, self.waiting)
        submission = Submission(self.app, self.store, self.dispatch, self.settings)
        self.submission = submission
        self.execution = Execution(
            self.app, self.store, self.dispatch, submission, self.settings
        )
        amqp.send_task_message = submission.send_task_message
        submission.bulk.install()
        self._bulk = submission.bulk

    def _adopt_execution(self) -> None:
        app = self.app
        plain_from_function, plain_register = app._task_from_fun, app.register_task

        def from_function(*args: Any, **options: Any) -> Any:
            task = plain_from_function(*args, **_said(options))
            self._adopt_if_final(task)
            return task

        def register(task: Any, **options: Any) -> Any:
            cls: Any = task if isinstance(task, type) else type(task)
            if cls.__dict__.get("acks_late") is False and not hasattr(cls, "on_worker_lost"):
                cls.on_worker_lost = "fail"
            registered = plain_register(task, **options)
            self._adopt_if_final(registered)
            return registered

        alias.register()
        consumer.on_purged(self._after_purge)
        app._task_from_fun = from_function
        app.register_task = register
        for proxy in app._pending:
            _said(_options_of_proxy(proxy))
        celery_signals.task_postrun.connect(self._after, weak=False)
        app.on_after_finalize.connect(self._adopt_all, weak=False)
        if app.finalized:
            self._adopt_all()

    def _after_purge(self, channel: Any, queue: str) -> None:
        """Cancel what a purge of one of this app's queues removed."""
        ours, theirs = self.app.connection_for_write(), channel.connection.client
        prefix = ours.transport_options.get("global_keyprefix", "")
        if theirs.as_uri() == ours.as_uri() and channel.global_keyprefix == prefix:
            cancel_purged(self.database, queue)

    def _adopt_if_final(self, task: Any) -> None:
        if self.app.finalized:
            self.made_late += adopt_task(task, self.execution)

    def _adopt_all(self, **_: Any) -> None:
        self._harden()
        for task in list(self.app._tasks.values()):
            self.made_late += adopt_task(task, self.execution)

    def _harden(self) -> None:
        """Set what correctness needs of the app as a whole."""
        conf = self.app.conf
        conf.worker_prefetch_multiplier = 1
        conf.worker_disable_prefetch = True
        options = dict(conf.broker_transport_options or {})
        longest = max(options.get("visibility_timeout") or 0, VISIBILITY_TIMEOUT)
        conf.broker_transport_options = options | {"visibility_timeout": longest}

    def _after(self, sender: Any = None, task_id: str = "", **facts: Any) -> None:
        if getattr(sender, "_execution", None) is self.execution:
            self.execution.after(sender, task_id, facts.get("state"), facts.get("retval"))


def _status(name: Status | str) -> Status:
    if name not in set(Status):
        raise QueryRefused(f"there is no status {name!r}; they are {', '.join(Status)}")
    return Status(name)


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """A task that says acks_late=False never runs twice, unless it says otherwise."""
    if options.get("acks_late") is False:
        options.setdefault("on_worker_lost", "fail")
    return options


def _options_of_proxy(proxy: Any) -> dict[str, Any]:
    """The options of a task that is not evaluated yet."""
    try:
        options = object.__getattribute__(proxy, "_Proxy__kwargs")
    except AttributeError:
        return {}
    return options if isinstance(options, dict) else {}
