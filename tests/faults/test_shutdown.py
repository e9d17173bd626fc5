"""The ways in which a worker ends on purpose: no job is lost, and none runs twice at once."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.acceptance_fixtures import tasks_beside
from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]
Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def tasks(shop: ModuleType) -> Iterator[ModuleType]:
    """The tasks of these tests, in the app."""
    with tasks_beside("tests.acceptance.pool_tasks") as module:
        yield module


@pytest.fixture
def start(start_worker: Start, tasks: ModuleType) -> Start:
    """Start a worker that knows them."""

    def start(*options: str, environment: dict[str, str] | None = None, **more: Any) -> Worker:
        include = f"--include={tasks.__name__}"
        return start_worker(environment, options=(include, *options), **more)

    return start


def cold(worker: Worker, *signals: int) -> int:
    for number in signals:
        worker.signal(number)
        said = "Hitting Ctrl+C again will initiate" if number == signal.SIGINT else ""
        eventually(lambda said=said: said in worker.log)
    return worker.wait(40)


def is_gone(shop: ModuleType, worker: Worker) -> bool:
    with shop.monitor.database.connection() as connection:
        query = "SELECT ended_at IS NOT NULL FROM worker WHERE node = %s"
        return connection.execute(query, (f"{worker.name}@test",)).fetchone() == (True,)


def reasons(shop: ModuleType, job_id: str) -> list[tuple[str, str]]:
    return [(event["event"], event["reason"]) for event in shop.monitor.jobs.events(job_id)]


SHUT_DOWN = ("worker shut down", "its worker was shut down")


@pytest.mark.parametrize(
    "signals", [(signal.SIGQUIT,), (signal.SIGINT, signal.SIGINT)], ids=["QUIT", "INT INT"]
)
def test_a_cold_shutdown_gives_back_what_it_interrupts(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, tmp_path: Path,
    signals: tuple[int, ...],
) -> None:  # fmt: skip
    jobs, marker = shop.monitor.jobs, tmp_path / "marker"
    first = start(concurrency=3)
    waits = tasks.wait_for_file.delay(str(marker))
    once = tasks.only_once.delay()
    counts = shop.count.delay(60, 0.05)
    eventually(lambda: len(trace()) > 20 and trace().count("began") == 2, within=30)
    behind = shop.traced.delay("behind")
    cold(first, *signals)
    assert is_gone(shop, first)
    assert jobs.wait_for(once.id, timeout=1).error == "its worker was shut down"
    for one in (waits, counts):
        assert (jobs.get(one.id).status, jobs.get(one.id).lost) == ("pending", 0)
        assert reasons(shop, one.id) == [SHUT_DOWN]
    assert trace().count("left") == 1
    start(concurrency=3)
    marker.touch()
    for one in (waits, counts):
        job = jobs.wait_for(one.id, timeout=30)
        assert (job.attempt, job.lost, job.has_errors) == (2, 0, False)
    assert jobs.wait_for(behind.id, timeout=20).attempt == 1
    counted = Counter(line for line in trace() if line.startswith("count"))
    assert len(counted) == 60
    assert counted.total() < 85


def test_a_soft_shutdown_lets_short_jobs_end_and_gives_back_the_others(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, tmp_path: Path
) -> None:
    jobs, marker = shop.monitor.jobs, tmp_path / "marker"
    soft = {"SOFT_SHUTDOWN": "4", "REMAP_SIGTERM": "SIGQUIT"}
    first = start(environment=soft, concurrency=2)
    short, long = tasks.tick.delay(1, 2.0), tasks.wait_for_file.delay(str(marker))
    eventually(lambda: set(trace()) == {"began", "began 1"}, within=30)
    first.signal(signal.SIGTERM)
    first.wait(40)
    assert is_gone(shop, first)
    job = jobs.wait_for(short.id, timeout=1)
    assert (job.attempt, job.result, job.has_errors) == (1, 1, False)
    assert short.get(timeout=10) == 1
    assert (jobs.get(long.id).status, reasons(shop, long.id)) == ("pending", [SHUT_DOWN])
    start(concurrency=1)
    marker.touch()
    assert jobs.wait_for(long.id, timeout=30).attempt == 2


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_pool_that_cannot_kill_is_waited_for_also_in_a_cold_shutdown(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, tmp_path: Path, pool: str
) -> None:
    jobs, marker = shop.monitor.jobs, tmp_path / "marker"
    worker = start("-P", pool, concurrency=2)
    result = tasks.wait_for_file.delay(str(marker))
    eventually(lambda: trace() == ["began"], within=30)
    worker.signal(signal.SIGQUIT)
    eventually(lambda: "Hitting Ctrl+C again" in worker.log, within=20)
    behind = shop.traced.delay("behind")
    marker.touch()
    worker.wait(40)
    job = jobs.wait_for(result.id, timeout=1)
    assert (job.attempt, job.lost, job.has_errors) == (1, 0, False)
    assert (trace(), is_gone(shop, worker)) == (["began", "left"], True)
    assert jobs.get(behind.id).status == "pending"
    shop.app.control.purge()


def test_a_cold_shutdown_ends_greenlets_and_gives_their_jobs_back(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, tmp_path: Path
) -> None:
    jobs, marker = shop.monitor.jobs, tmp_path / "marker"
    first = start("-P", "gevent", concurrency=2)
    result = tasks.wait_for_file.delay(str(marker))
    eventually(lambda: trace() == ["began"], within=30)
    cold(first, signal.SIGQUIT)
    assert is_gone(shop, first)
    assert (jobs.get(result.id).status, reasons(shop, result.id)) == ("pending", [SHUT_DOWN])
    start(concurrency=1)
    marker.touch()
    job = jobs.wait_for(result.id, timeout=30)
    assert (job.attempt, job.lost, job.has_errors) == (2, 0, False)
    assert trace() == ["began", "left"] * 2


def test_a_warm_shutdown_waits_for_greenlets(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    worker = start("-P", "gevent", concurrency=2)
    result = tasks.wait_for_file.delay(str(marker))
    eventually(lambda: trace() == ["began"], within=30)
    worker.signal(signal.SIGTERM)
    eventually(lambda: "Warm shutdown (MainProcess)" in worker.log, within=20)
    marker.touch()
    worker.wait(40)
    job = shop.monitor.jobs.wait_for(result.id, timeout=1)
    assert (job.attempt, job.lost, job.has_errors) == (1, 0, False)
    assert is_gone(shop, worker)


@pytest.mark.parametrize(
    "options",
    [("--max-tasks-per-child=2", "--autoscale=3,1"), ("--max-memory-per-child=1000",)],
    ids=["tasks, autoscale", "memory"],
)
def test_processes_that_come_and_go_run_each_job_once(
    shop: ModuleType, tasks: ModuleType, start: Start, trace: Trace, options: tuple[str, ...]
) -> None:
    worker = start(*options, concurrency=2)
    results = [tasks.tick.delay(number, 0.05) for number in range(12)]
    found = [shop.monitor.jobs.wait_for(result.id, timeout=40) for result in results]
    assert {(job.attempt, job.lost, job.has_errors) for job in found} == {(1, 0, False)}
    assert sorted(trace()) == sorted(
        f"{did} {n}" for did in ("began", "ended") for n in range(12)
    )
    assert len({job.worker_pid for job in found}) >= 3
    assert [result.get(timeout=10) for result in results] == list(range(12))
    assert worker.stop() == 0
    assert is_gone(shop, worker)
