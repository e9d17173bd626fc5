"""Postgres dies under running jobs: what was acknowledged is on disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from celery.result import AsyncResult

from jobmonitor.embedded import PostgresServer
from jobmonitor.embedded.servers import connection
from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.records.database import migrate
from tests.waiting import eventually
from tests.workers import Worker


@pytest.fixture(scope="module")
def durable(server_directory: Path) -> Iterator[PostgresServer]:
    """A Postgres that keeps what it committed when it is killed."""
    server = PostgresServer(server_directory / "durable", durable=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def database_url(durable: PostgresServer) -> str:
    migrate(durable.url)
    return durable.url


def test_a_kill_of_postgres_right_after_an_ack_loses_no_finish(
    shop: ModuleType,
    start_worker: Callable[..., Worker],
    durable: PostgresServer,
    trace: Callable[[], list[str]],
) -> None:
    start_worker(concurrency=2)
    results = [shop.traced.delay(f"job {number}") for number in range(150)]
    eventually(lambda: len(trace()) > 40, within=20)
    os.kill(durable.pid, signal.SIGKILL)
    seen = len(trace())
    durable.restart()
    jobs = shop.monitor.jobs
    for result in results:
        job = eventually(lambda r=result: _finished(jobs, r.id), within=90)
        assert (job.has_errors, job.result) == (False, job.args[0])
    assert seen <= len(trace())
    assert set(trace()) == {f"job {number}" for number in range(150)}
    assert len(trace()) == 150


def test_a_claim_that_a_crash_forgot_is_made_again_by_the_job_that_runs(
    shop: ModuleType,
    start_worker: Callable[..., Worker],
    durable: PostgresServer,
    tmp_path: Path,
) -> None:
    with connection(durable.url) as server:
        server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        server.execute("SELECT pg_reload_conf()")
    start_worker(concurrency=1)
    result, marker = _crash_right_after_a_claim(shop, durable, tmp_path)
    marker.touch()
    job = eventually(lambda: _finished(shop.monitor.jobs, result.id), within=60)
    assert (job.attempt, job.lost, job.has_errors) == (1, 0, False)
    assert job.duration_seconds is not None


def _crash_right_after_a_claim(
    shop: ModuleType, durable: PostgresServer, tmp_path: Path
) -> tuple[AsyncResult, Path]:
    """Kill Postgres until it forgets a claim: any commit that waits for the disk keeps it."""
    for number in range(8):
        marker = tmp_path / f"go {number}"
        result = shop.log_at.delay([str(marker)], 0)
        eventually(lambda r=result: _status(shop, r.id) == "running", every=0.002)
        durable.kill()
        durable.restart()
        if eventually(lambda r=result: _status(shop, r.id)) == "pending":
            return result, marker
        marker.touch()
        eventually(lambda r=result: _finished(shop.monitor.jobs, r.id), within=60)
    raise AssertionError("no claim was forgotten in 8 crashes")


def _status(shop: ModuleType, job_id: str) -> str | None:
    try:
        return str(shop.monitor.jobs.get(job_id).status)
    except DatabaseUnavailable:
        return None


def _finished(jobs: object, job_id: str) -> object:
    try:
        job = jobs.get(job_id)  # type: ignore[attr-defined]
    except DatabaseUnavailable:
        return None
    return job if job.status == "finished" else None


def test_a_job_goes_on_while_postgres_is_away_and_its_end_is_kept(
    shop: ModuleType,
    start_worker: Callable[..., Worker],
    durable: PostgresServer,
    trace: Callable[[], list[str]],
) -> None:
    start_worker(concurrency=1)
    result = shop.count.delay(40)
    eventually(lambda: len(trace()) > 3)
    durable.kill()
    eventually(lambda: len(trace()) == 40, within=10)
    durable.restart()
    job = eventually(lambda: _finished(shop.monitor.jobs, result.id), within=60)
    assert (job.attempt, job.lost, job.progress.percent) == (1, 0, 100)


def test_no_line_is_lost_while_postgres_is_away(
    shop: ModuleType,
    start_worker: Callable[..., Worker],
    durable: PostgresServer,
    tmp_path: Path,
) -> None:
    start_worker(concurrency=1)
    markers = [tmp_path / "away", tmp_path / "back"]
    result = shop.log_at.delay([str(marker) for marker in markers], 20)
    logs = shop.monitor.jobs.logs
    eventually(lambda: len(logs(result.id).lines) == 20)
    eventually(lambda: _all_is_on_disk(shop))  # lines commit asynchronously
    durable.kill()
    markers[0].touch()
    eventually(lambda: (tmp_path / "away.done").exists())
    durable.restart()
    markers[1].touch()
    eventually(lambda: _finished(shop.monitor.jobs, result.id), within=60)
    lines = logs(result.id, newest_first=False).lines
    assert [line.message for line in lines] == [f"line {number}" for number in range(60)]


def _all_is_on_disk(shop: ModuleType) -> bool:
    with shop.monitor.database.connection() as connection:
        found = connection.execute(
            "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"
        ).fetchone()
    return bool(found[0])
