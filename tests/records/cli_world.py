"""A terminal in front of an app, with jobs in every state though no worker runs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from celery import Celery
from click.testing import CliRunner, Result

from jobmonitor import JobMonitor
from jobmonitor.cli import jobs as command
from tests.factories import Records


class Terminal:
    """One app over real servers; `run` types a command, the others make jobs."""

    def __init__(self, database_url: str, broker_url: str) -> None:
        self.app = Celery("terminal", broker=broker_url, set_as_current=False)
        self.monitor = JobMonitor(self.app, database_url=database_url)
        self.records = Records(database_url)

        @self.app.task(name="shop.export", restartable=True, shared=False)
        def export(*args: Any) -> None: ...

        @self.app.task(name="shop.tidy", system=True, shared=False)
        def tidy() -> None: ...

        self.app.finalize()

    def run(self, *words: str) -> Result:
        """Type `jobs …` and read what it printed."""
        obj = SimpleNamespace(app=self.app)
        return CliRunner().invoke(command, words, obj=obj, catch_exceptions=False)

    def read(self, *words: str) -> Any:
        """Type `jobs … --json` and parse what it printed."""
        return json.loads(self.run(*words, "--json").stdout)

    def submit(self, *args: Any, task: str = "shop.export", **options: Any) -> str:
        """Submit a job through the app; it waits, since no worker runs."""
        return str(self.app.tasks[task].apply_async(args, **options).id)

    def submit_running(self, **options: Any) -> str:
        """Submit a job and claim it, as a worker does."""
        job_id = self.submit(**options)
        assert self.records.claim(job_id).verdict == "run"
        return job_id

    def submit_family(self, children: int = 2, **options: Any) -> tuple[str, ...]:
        """A running root and its waiting children."""
        root = self.submit_running(**options)
        return (root, *(self.records.make(under=root) for _ in range(children)))

    def clear(self) -> None:
        """Forget every job; the workers w1 and w2 live."""
        self.records.clear()
        self.records.worker("w1")
        self.records.worker("w2")

    def close(self) -> None:
        """Close every connection."""
        self.app.close()
        self.monitor.database.close()
        self.records.database.close()
