"""A running job with a clock and a recorder of the test's own."""

from __future__ import annotations

import json
from typing import Any

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.job import Identity, RunningJob
from jobmonitor.records.store import Report


class Recorder:
    """Keeps what a job writes; says what the test wants."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.halts: list[Report] = []
        self.status: str | None = "running"
        self.away = False
        self.meanwhile: Any = None

    def advance(self, report: Report) -> str | None:
        if self.away:
            raise DatabaseUnavailable("here", OSError("gone"))
        if self.meanwhile:
            self.meanwhile()
        self.reports.append(report)
        return self.status

    def halt(self, report: Report) -> str | None:
        if self.away:
            raise DatabaseUnavailable("here", OSError("gone"))
        self.halts.append(report)
        return "stopped" if self.status == "stopping" else None


class Log:
    """Keeps the lines of a job."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, str]] = []
        self.flushed = 0

    def add(self, level: int, logger: str, message: str, *, always: bool = False) -> None:
        self.lines.append((level, logger, message))

    def flush(self) -> None:
        self.flushed += 1


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


def attempt_of(recorder: Recorder, saved: Report | None = None, **facts: Any) -> RunningJob:
    """An attempt that continues from what an earlier one reported."""
    checkpoint = json.loads(saved.checkpoint) if saved and saved.checkpoint else None
    identity = {"id": "j1", "root_id": "j1", "parent_id": None, "step_of": None, "run": 1}
    who = Identity(**identity, attempt=1, stoppable=True, checkpoint=checkpoint)  # type: ignore[arg-type]
    return RunningJob(who, recorder, **({"interval": 1.0, "checkpoint_max": 1_000} | facts))
