"""What a job logs: everything by standard logging, prints and warnings goes to its log.

Runs in: the process that runs the task. Lines wait in memory and are written together, at most
about a second after they were made, and before the attempt ends. Nothing raises into a task.
"""

from __future__ import annotations

from jobmonitor.job import RunningJob
from jobmonitor.job_log.attempt_log import AttemptLog
from jobmonitor.job_log.buffer import Buffer
from jobmonitor.job_log.capture import capture_everything
from jobmonitor.records.database import Database
from jobmonitor.records.logs import Logs
from jobmonitor.settings import Settings


class JobLog:
    """The logs of the jobs that run in this process."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._settings = settings
        self._buffer = Buffer(Logs(database).append, lines_max=settings.log_waiting_max)

    def begin(self, job: RunningJob) -> None:
        """Give the job its log, and make sure that what it logs and prints comes here."""
        job.log = AttemptLog(
            job,
            self._buffer,
            lines_max=self._settings.log_lines_max,
            line_max=self._settings.shown_max,
        )
        capture_everything()
