"""A job whose log is written to a list."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.job import RunningJob
from jobmonitor.job_log.attempt_log import AttemptLog
from jobmonitor.job_log.buffer import Buffer
from jobmonitor.records.logs import NewLine
from tests.unit.running_jobs import Recorder, attempt_of

Streams = dict[str, io.StringIO]
Replaced = Callable[[], Streams]


class Written:
    """Stands for Postgres: keeps what is written, or is away."""

    def __init__(self) -> None:
        self.lines: list[NewLine] = []
        self.statements = 0
        self.away = False
        self.tried = threading.Event()
        self.meanwhile: Callable[[], None] | None = None

    def __call__(self, lines: Sequence[NewLine], now: float) -> None:
        self.tried.set()
        if self.meanwhile:
            self.meanwhile()
        if self.away:
            raise DatabaseUnavailable("here", OSError("gone"))
        self.statements += 1
        self.lines += lines

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


def logged_job(
    written: Written, *, lines_max: int = 1_000, waiting_max: int = 1_000
) -> RunningJob:
    """A job that logs to `written`; lines of more than 100 characters are cut."""
    job = attempt_of(Recorder())
    job.tail.secrets = ("hunter22", "p\x1bw\n12")
    buffer = Buffer(written, lines_max=waiting_max)
    job.log = AttemptLog(job, buffer, lines_max=lines_max, line_max=100)
    return job


def taken(job: RunningJob, written: Written) -> list[tuple[str, int, str]]:
    job.log.flush()
    return [(line.logger, line.level, line.message) for line in written.lines]
