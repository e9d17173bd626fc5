"""What Celery's own verbs do is what they do without jobmonitor, and the row says so too.

Each case runs in two workers, one of them plain Celery: the same state and result, the same
signals and handlers in the same order, the same number of runs; then the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery

from tests.acceptance_fixtures import imported_app
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, stop_all, workers

APP = "tests.acceptance.verbs_app"


@dataclass(frozen=True)
class Case:
    """One submission, its last line of the trace, and what its row says in the end."""

    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: Callable[[], dict[str, Any]] = dict
    ends: tuple[str, ...] = ("postrun",)
    times: int = 1
    row: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None


def _failed(error: str, **more: Any) -> dict[str, Any]:
    return {"status": "finished", "has_errors": True, "error": error} | more


def _done(**more: Any) -> dict[str, Any]:
    return {"status": "finished", "has_errors": False, "error": None} | more


def _expired() -> dict[str, Any]:
    return {"countdown": 0.6, "expires": datetime.now(UTC) + timedelta(seconds=0.2)}


#: two processes write at once, and plain Celery says `task_failure` twice
_KILLED = ("failure", "on_failure", "after_return", "postrun")


def _soft_limit() -> dict[str, Any]:
    return {"soft_time_limit": 1}


def _naive_eta() -> dict[str, Any]:
    return {"eta": datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=0.3)}


_CANCELED = {"status": "canceled", "attempt": 0, "has_errors": False, "pending_because": None}
_SOFT = "SoftTimeLimitExceeded: SoftTimeLimitExceeded()"
CASES = {
    # -- retry
    "countdown": Case("flaky", (2,), times=3, row=_done(retries=2, attempt=3, result=2)),
    "eta of a retry": Case("at", times=2, row=_done(retries=1, attempt=2)),
    "own error": Case(
        "gives_up", (True,), times=2,
        row=_failed("ValueError: out of paper", retries=1, attempt=2),
    ),
    "no error": Case("gives_up", (False,), times=2, row={"has_errors": True, "retries": 1}),
    "max_retries": Case("flaky", (2,), {"max_retries": 0}, row={"has_errors": True}),
    "throw=False": Case("goes_on", ("return",), times=2, row=_done(retries=1, result="second")),
    "caught": Case("goes_on", ("catch",), times=2, row=_done(retries=1, result="second")),
    "raised after": Case("goes_on", ("raise",), times=2, row=_done(retries=1, result="second")),
    "ignored after": Case("goes_on", ("ignore",), times=2, row=_done(retries=1, attempt=2)),
    "other arguments": Case(
        "changes", ("once",), times=2,
        row=_done(args=["once again"], kwargs={"mark": "!"}, result="once again!"),
    ),
    "autoretry": Case(
        "autoretried", ("index",), times=3,
        row=_failed("IndexError: as asked", retries=2, attempt=3),
    ),
    "dont_autoretry": Case(
        "autoretried", ("key",), row=_failed("KeyError: 'as asked'", retries=0)
    ),
    "autoretried limit": Case(
        "autoretried", ("slow",), times=2, options=_soft_limit, row=_done(retries=1)
    ),
    # -- limits
    "soft, caught": Case("tidies_up", row=_done(result="tidied up")),
    "soft, call": Case(
        "sleep", (30,), options=_soft_limit, row=_failed(_SOFT)
    ),
    "hard, task": Case(
        "short", (30,), ends=_KILLED,
        row=_failed("TimeLimitExceeded: hard time limit of 1 s", attempt=1, lost=0),
    ),
    "hard, call": Case(
        "sleep", (30,), options=lambda: {"time_limit": 1.5}, ends=_KILLED,
        row=_failed("TimeLimitExceeded: hard time limit of 1.5 s", attempt=1, lost=0),
    ),
    # -- when it may run
    "countdown of a call": Case("sleep", (0,), options=lambda: {"countdown": 0.3}, row=_done()),
    "naive eta is UTC": Case(
        "sleep", (0,), row=_done(),
        options=_naive_eta,
    ),
    "expires, seconds": Case(
        "sleep", (0,), options=lambda: {"countdown": 0.6, "expires": 0.2}, ends=("revoked",),
        row=_CANCELED, reason="expired",
    ),
    "expires, datetime": Case(
        "sleep", (0,), options=_expired, ends=("revoked",), row=_CANCELED, reason="expired"
    ),
    "expires too late": Case("sleep", (0,), options=lambda: {"expires": 60}, row=_done()),
    # -- how it ends
    "ignore": Case("end", ("ignore",), row=_done(result=None)),
    "reject": Case("end", ("reject",), ends=("failure",), row={"has_errors": True}),
    "requeue": Case("late", ("requeue",), times=2, row=_done(retries=1, attempt=2)),
    "late": Case("late", ("well",), row=_done(result="well")),
    "early": Case("early", ("well",), row=_done(result="well")),
    "early, fails": Case("early", ("fail",), row=_failed("ValueError: as asked", attempt=1)),
    "unacknowledged": Case("unacknowledged", ("fail",), row=_failed("ValueError: as asked")),
    "ignore_result": Case("forgetful", ("well",), row=_done(result="well")),
    "ignore_result of a call": Case(
        "end", ("well",), options=lambda: {"ignore_result": True}, row=_done(result="well")
    ),
    "ignored error": Case("forgetful", ("fail",), row=_failed("ValueError: as asked")),
    "stored error": Case("told_of_errors", ("fail",), row=_failed("ValueError: as asked")),
}  # fmt: skip


@dataclass
class Both:
    """The two apps, what they ran, and the lines they wrote."""

    module: ModuleType
    files: dict[str, Path]
    ids: dict[tuple[str, str], str] = field(default_factory=dict)

    def app(self, kind: str) -> Celery:
        return self.module.app if kind == "jobs" else self.module.plain

    def submit(self, kind: str, name: str) -> None:
        case = CASES[name]
        task = self.app(kind).tasks[f"verbs.{case.task}"]
        sent = task.apply_async(case.args, case.kwargs, **case.options())
        self.ids[kind, name] = sent.id

    def lines(self, kind: str, name: str) -> list[str]:
        """What was written of a job, attempt by attempt: plain Celery's may overlap."""
        start = f"{self.ids[kind, name]} "
        lines = self.files[kind].read_text().splitlines()
        own = [line.removeprefix(start) for line in lines if line.startswith(start)]
        return sorted(own, key=lambda line: line.rpartition("#")[2])

    def seen(self, kind: str, name: str) -> tuple[str, str, list[str]]:
        """State, result and lines, once the last line is there."""
        case = CASES[name]
        lines = eventually(lambda: self._complete(kind, name, case), within=30, says=name)
        if self.module.app.conf.result_backend is None:
            return "", "", lines
        result = self.app(kind).AsyncResult(self.ids[kind, name])
        shown = repr(result.result).replace(result.id, "<id>")
        return result.state, shown, lines

    def _complete(self, kind: str, name: str, case: Case) -> list[str] | None:
        lines = self.lines(kind, name)
        if not all(self._count(lines, end) >= case.times for end in case.ends):
            return None
        return sorted(set(lines)) if case.ends == _KILLED else lines

    def _count(self, lines: list[str], start: str) -> int:
        return sum(line.startswith(start) for line in lines)


@contextmanager
def two_workers(
    module: ModuleType, jobs: dict[str, str], plain: dict[str, str], directory: Path
) -> Iterator[None]:
    """Start both, once the tables of results are there: two that make them would collide."""
    assert module.plain.backend
    with workers(
        Worker(APP, jobs, directory, concurrency=6),
        Worker(f"{APP}:plain", plain, directory, concurrency=6),
    ) as started:
        yield
        stop_all(*started)


@pytest.fixture(scope="module", params=["redis", "postgres", "none"])
def both(
    request: pytest.FixtureRequest, database_url: str, broker_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Both]:  # fmt: skip
    directory = tmp_path_factory.mktemp("verbs")
    files = {kind: directory / kind for kind in ("jobs", "plain")}
    results = {"redis": redis_of(broker_url), "postgres": f"db+{database_url}", "none": ""}
    environment = {
        "JOBMONITOR_DATABASE_URL": database_url, "BROKER_URL": broker_url,
        "RESULT_URL": results[request.param], "TRACE_FILE": str(files["jobs"]),
    }  # fmt: skip
    plain = environment | {"PLAIN": "1", "TRACE_FILE": str(files["plain"])}
    for file in files.values():
        file.touch()
    with (
        imported_app(APP, environment) as module,
        closing(module.plain),
        two_workers(module, environment, plain, directory),
    ):
        pair = Both(module, files)
        for name in CASES:
            for kind in files:
                pair.submit(kind, name)
        yield pair


@pytest.mark.parametrize("name", list(CASES))
def test_a_job_does_what_a_plain_task_does(both: Both, name: str) -> None:
    assert both.seen("jobs", name) == both.seen("plain", name)
    case = CASES[name]
    jobs = both.module.monitor.jobs
    job = jobs.wait_for(both.ids["jobs", name], timeout=20)
    assert {fact: getattr(job, fact) for fact in case.row} == case.row
    assert (job.pending_because, job.due_at) == (None, None)
    if case.reason:
        assert jobs.events(job.id)[-1]["reason"] == case.reason


def test_none_of_them_ran_again_afterwards(both: Both) -> None:
    for name in CASES:
        assert both.seen("jobs", name) == both.seen("plain", name), name
