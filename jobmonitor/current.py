"""Which job runs here: `current_job()`, and an object that does nothing outside a job.

Runs in: every process; set where a task runs, from its claim to Celery's task_postrun.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

from jobmonitor.job import RunningJob, check_progress, context, items_of

logger = logging.getLogger("jobmonitor.job")
P = ParamSpec("P")
R = TypeVar("R")


class NoJob:
    """Stands where no job runs: takes the same calls and does nothing."""

    id = root_id = parent_id = None
    attempt = run = 0
    state: Any = None

    def progress(
        self, done: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Check the numbers as a job would."""
        check_progress(done, total)

    def checkpoint(self, state: Any = None) -> None:
        """Do nothing."""

    def iterate(
        self,
        source: Sequence[R] | Callable[[Any], Iterable[tuple[Any, R]]],
        total: float | None = None,
    ) -> Iterator[R]:
        """Go through all of `source`."""
        for _, item in items_of(source, {"cursor": None, "done": 0}):
            yield item

    def step(self, name: str) -> Iterator[str]:
        """Run the block."""
        yield name

    def error(self, message: str, **extra: Any) -> None:
        """Log the message."""
        logger.error("%s", message)

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function as it is."""
        return function


_no_job = NoJob()


class _Process:
    """What this process knows: whether it runs one job at a time, and which one."""

    one_job = False
    job: RunningJob | None = None


def current_job() -> RunningJob | NoJob:
    """Return the job that runs here, or an object that does nothing outside a job."""
    return running_job() or _no_job


def running_job() -> RunningJob | None:
    """Return the job that runs here, from any thread where the process runs one at a time."""
    return context.get() or (_Process.job if _Process.one_job else None)


def enter(job: RunningJob) -> None:
    """Make the job the current one of this context."""
    context.set(job)
    _Process.job = job


def leave() -> None:
    """End what `enter` began."""
    context.set(None)
    _Process.job = None


def runs_one_job_at_a_time() -> None:
    """Say that this process runs one job at a time (prefork and solo pools)."""
    _Process.one_job = True


def is_alone_here() -> bool:
    """Say whether this process runs one job at a time."""
    return _Process.one_job
