"""The real side of the state machine: a Celery app with jobmonitor, its Postgres, its Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import redis
from celery import Celery

from jobmonitor import JobMonitor
from jobmonitor.current import enter, leave
from jobmonitor.dispatch import HEADER
from jobmonitor.job import RunningJob
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.worker.rescue import Rescue
from tests.brokers import redis_of
from tests.records.interleaving import Interleaving, step
from tests.records.life_model import KINDS

LATER = timedelta(hours=1)
WORKERS = ("w1", "w2")
_QUEUES = ("celery", "celery\x06\x169")
_TABLES = (
    "job", "job_message", "job_children", "job_run", "job_hold", "job_event", "worker"
)  # fmt: skip


class BrokerError(Exception):
    """What a submitter sees whose publish timed out."""


@dataclass
class World:
    """The app and its servers, and the processes that believe to run jobs."""

    url: str
    broker: str
    running: dict[str, RunningJob] = field(default_factory=dict)
    published: list[tuple[str, int, bool]] = field(default_factory=list)
    times: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        app = Celery("life", broker=self.broker, set_as_current=False)
        app.conf.task_publish_retry = False
        plain_sender = app.amqp._create_task_sender
        app.amqp._create_task_sender = lambda: self._recording(plain_sender())
        self.monitor = JobMonitor(app, database_url=self.url)
        self.tasks = {kind.name: _task(app, kind) for kind in KINDS.values()}
        app.finalize()
        self.app = app
        self.store = self.monitor.store
        self.database = self.monitor.database
        self.rescue = Rescue(self.monitor)
        self.two_at_once = Interleaving(self.database)
        self.redis = redis.Redis.from_url(redis_of(self.broker))
        self._broken: set[str] = set()
        #: counts the examples: the id of a group is never used twice
        self.example = 0

    def _recording(self, send: Any) -> Any:
        def recorded(producer: Any, name: str, message: Any, **options: Any) -> Any:
            step()
            answer = send(producer, name, message, **options)
            job_id, number = message.headers["id"], message.headers[HEADER]["dispatch"]
            self.published.append((job_id, number, options.get("priority") == 9))
            if job_id in self._broken:
                raise BrokerError
            return answer

        return recorded

    # -- life ------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget every job; the workers w1 and w2 have just beaten."""
        self.example += 1
        for name in _QUEUES:
            FairQueue(self.redis, name).delete()
        self.published.clear()
        self.running.clear()
        self.times.clear()
        for table in _TABLES:
            self.sql(f"DELETE FROM {table}")
        for worker in WORKERS:
            facts = {"id": worker, "node": worker, "host": "", "pid": 1, "pool": "prefork"}
            more = {"slots": 2, "queues": ["celery"], "version": "0"}
            self.database.rows("register_worker", facts | more)

    def close(self) -> None:
        """Close all connections."""
        self.redis.close()
        self.app.close()
        self.database.close()

    def sql(self, statement: str, *parameters: Any) -> list[Any]:
        """Run a statement of the test's own."""
        with self.database.connection() as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def inside(self, name: str | None) -> Iterator[None]:
        """Submit from inside a running job."""
        if name is None:
            yield
            return
        enter(self.running[name])
        try:
            yield
        finally:
            leave()

    @contextmanager
    def broken(self, job_id: str, fails: bool) -> Iterator[None]:
        """Let the publish of a job arrive, and its submitter see an error."""
        if fails:
            self._broken.add(job_id)
        try:
            yield
        finally:
            self._broken.discard(job_id)


def _task(app: Celery, kind: Any) -> Any:
    options = {"name": kind.name, "system": kind.system, "stoppable": kind.stoppable}
    options |= {"restartable": kind.restartable}
    options |= {"on_worker_lost": "rerun" if kind.rerun else "fail"}

    @app.task(**options)
    def run() -> None:
        """Never run: the machine says what happens."""

    return run
