"""The app of Celery's verbs with jobmonitor, and one worker for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jobmonitor.monitor import Jobs
from tests.acceptance_fixtures import imported_app
from tests.workers import Worker, workers

APP = "tests.acceptance.verbs_app"


@dataclass
class Verbs:
    """The app in this process, and the lines its workers wrote."""

    module: ModuleType
    environment: dict[str, str]

    @property
    def jobs(self) -> Jobs:
        return self.module.monitor.jobs

    def submit(self, task: str, *args: Any, **options: Any) -> Any:
        return self.module.app.tasks[f"verbs.{task}"].apply_async(args, **options)

    def lines(self, job_id: str, start: str = "") -> list[str]:
        """What was written of a job, of the lines that begin so."""
        lines = Path(self.environment["TRACE_FILE"]).read_text().splitlines()
        mine = [line.removeprefix(f"{job_id} ") for line in lines if line.startswith(job_id)]
        own = [line.rpartition(" #")[0] for line in mine]
        return [line for line in own if line.startswith(start)]

    def reason(self, job_id: str) -> str | None:
        """Why the last entry of its audit was written."""
        return self.jobs.events(job_id)[-1]["reason"]

    def resume_when_due(self, job_id: str) -> None:
        """Stop a waiting job, and resume it as if its time had come and its copy been met."""
        met = "UPDATE job SET due_at = clock_timestamp(), taken_dispatch = dispatch"
        self.jobs.stop(job_id)
        with self.module.monitor.database.connection() as connection:
            connection.execute(f"{met} WHERE id = %s", (job_id,))
        assert self.jobs.resume(job_id)[0].changed

    def worker(self, directory: Path, **options: Any) -> Worker:
        return Worker(APP, self.environment, directory, **options)


@pytest.fixture(scope="module")
def verbs(environment: dict[str, str]) -> Iterator[Verbs]:
    Path(environment["TRACE_FILE"]).touch()
    extra = {"TRACK_STARTED": "1"}
    with imported_app(APP, environment | extra) as module:
        yield Verbs(module, environment | extra)


@pytest.fixture(scope="module")
def verbs_worker(verbs: Verbs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker with two processes, of two queues."""
    directory = tmp_path_factory.mktemp("log")
    with workers(verbs.worker(directory, options=("-Q", "verbs,other"))) as (one,):
        yield one
