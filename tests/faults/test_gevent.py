"""Greenlets: one that computes stops all others, and must not lose the jobs of its worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from sqlalchemy.engine import make_url

from tests.acceptance_fixtures import APP, tasks_beside
from tests.waiting import eventually
from tests.workers import REPOSITORY, Worker, workers

Trace = Callable[[], list[str]]
SHORT = {"LOST_AFTER": "3"}


@pytest.fixture(scope="module")
def tasks(shop: ModuleType) -> Iterator[ModuleType]:
    """The tasks of these tests, in the app."""
    with tasks_beside("tests.acceptance.pool_tasks") as module:
        yield module


@pytest.fixture(scope="module")
def greenlets(
    tasks: ModuleType, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """A worker with 100 greenlets, and another worker that rescues what is lost."""
    directory, include = tmp_path_factory.mktemp("log"), f"--include={tasks.__name__}"
    one = Worker(
        APP, environment | SHORT, directory, concurrency=100, options=("-P", "gevent", include)
    )
    other = Worker(APP, environment | SHORT, directory, concurrency=1, options=("-Q", "other"))
    with workers(one, other):
        one.rescuer = other
        yield one


def test_a_job_that_computes_for_long_keeps_its_job(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker, trace: Trace
) -> None:
    result = tasks.beat_time.delay(8)
    job = shop.monitor.jobs.wait_for(result.id, timeout=40)
    assert job.duration_seconds > 5
    assert (job.attempt, job.lost, trace()) == (1, 0, ["began", "ended"])
    assert "was silent" not in greenlets.rescuer.log


def test_a_statement_of_one_job_does_not_hold_up_the_others(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker
) -> None:
    results = [tasks.sleep_in_postgres.delay(1) for _ in range(5)]
    jobs = [shop.monitor.jobs.wait_for(result.id, timeout=30) for result in results]
    took = max(job.finished_at for job in jobs) - min(job.started_at for job in jobs)
    assert took.total_seconds() < 3


def test_a_hundred_jobs_at_once_share_few_connections(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker, environment: dict[str, str]
) -> None:
    port = make_url(environment["JOBMONITOR_DATABASE_URL"]).port
    process, peak = psutil.Process(greenlets.pid), 0
    results = [tasks.who_am_i.delay(3) for _ in range(100)]
    ids = [result.id for result in results]
    while not all(job.status == "finished" for job in shop.monitor.jobs.some(ids)):
        there = [one for one in process.net_connections() if one.raddr]
        peak = max(peak, sum(one.raddr.port == port for one in there))
    assert [result.get(timeout=10) for result in results] == [[one, [one]] for one in ids]
    assert 1 < peak <= 12  # ten at once, one inside a rescue's transaction, the beat's own


def test_a_hard_time_limit_is_an_end(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker
) -> None:
    result = tasks.too_long_in_greenlet.delay()
    job = shop.monitor.jobs.wait_for(result.id, timeout=20)
    assert (job.has_errors, job.lost, job.attempt) == (True, 0, 1)
    assert job.error == "TimeLimitExceeded: hard time limit of 1 s"
    assert eventually(lambda: result.state == "FAILURE", within=20)


def test_a_job_that_celery_terminates_is_canceled_and_its_greenlet_ends(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker, trace: Trace
) -> None:
    result = tasks.wait_for_file.delay("/never")
    eventually(lambda: trace() == ["began"], within=20)
    result.revoke(terminate=True)
    job = shop.monitor.jobs.wait_for(result.id, "canceled", timeout=20)
    assert (job.has_errors, job.error, job.attempt) == (False, None, 1)
    eventually(lambda: trace() == ["began", "left"], within=20)


def test_a_job_that_celery_terminates_is_held_until_its_greenlet_has_ended(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker, trace: Trace, tmp_path: Path
) -> None:
    marker = tmp_path / "end"
    quick, slow = tasks.wait_for_file.delay("/never"), tasks.leave_slowly.delay(str(marker))
    eventually(lambda: trace() == ["began"] * 2, within=20)
    for result in (quick, slow):
        result.revoke(terminate=True)
        shop.monitor.jobs.wait_for(result.id, "canceled", timeout=20)

    def held() -> dict[str, set[str]]:
        found = tasks.what_is_held.delay().get(timeout=20)
        return {name: {quick.id, slow.id} & set(ids) for name, ids in found.items()}

    slow_only = {"interrupted": {slow.id}, "taken": set()}
    eventually(lambda: held() == slow_only, within=30, every=0.2)
    marker.touch()
    eventually(lambda: not any(held().values()), within=30, every=0.2)
    assert trace()[-1] == "left"
    assert shop.monitor.jobs.get(slow.id).status == "canceled"
    assert shop.monitor.jobs.logs(slow.id).lines == []


def test_a_timeout_or_end_of_the_tasks_own_is_its_failure(
    shop: ModuleType, tasks: ModuleType, greenlets: Worker
) -> None:
    for how in ("timeout", "exit"):
        job = shop.monitor.jobs.wait_for(tasks.leave_greenlet.delay(how).id, timeout=20)
        assert (job.has_errors, job.lost, job.attempt) == (True, 0, 1)


def test_psycopg_that_was_imported_before_the_patch_is_refused(
    environment: dict[str, str],
) -> None:
    code = f"from {APP} import app; app.worker_main(['worker', '-P', 'gevent'])"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "jobmonitor: psycopg was imported before gevent patched Python, so one job's statement "
        "would hold up all others; start it by `celery -A your_app worker --pool=gevent`"
    )
