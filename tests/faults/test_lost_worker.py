"""Workers and processes that die: what they ran goes on, and nothing is lost or done twice."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from celery import chain, chord

from tests.acceptance_fixtures import make_due_now
from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]


def test_a_worker_killed_in_the_middle_is_replaced_by_another(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    first = start_worker(concurrency=1)
    result = shop.count.delay(200)
    eventually(lambda: len(trace()) > 30)
    second = start_worker(concurrency=1)
    first.kill()
    job = shop.monitor.jobs.wait_for(result.id, timeout=30)
    assert (job.lost, job.has_errors) == (1, False)
    assert job.worker.startswith(second.name)
    assert set(trace()) == {f"count {step}" for step in range(200)}


def test_a_warm_shutdown_lets_the_running_job_end_and_no_other_worker_takes_it(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    first = start_worker(concurrency=1)
    result = shop.listen.delay(8)
    shop.monitor.jobs.wait_for(result.id, "running")
    start_worker(concurrency=1)
    assert first.stop() == 0
    job = shop.monitor.jobs.wait_for(result.id, timeout=1)
    assert (job.attempt, job.lost, job.has_errors) == (1, 0, False)
    with shop.monitor.database.connection() as connection:
        query = "SELECT ended_at IS NOT NULL FROM worker WHERE node LIKE %s"
        assert connection.execute(query, (f"{first.name}@%",)).fetchall() == [(True,)]


def test_a_worker_that_falls_silent_is_lost_and_its_zombie_is_refused(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    first = start_worker(concurrency=1)
    result = shop.count.delay(40, 0.1)
    eventually(lambda: len(trace()) > 5)
    frozen = [first.pid, *first.children]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    start_worker(concurrency=1)
    eventually(lambda: shop.monitor.jobs.get(result.id).attempt == 2, within=20)
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    job = shop.monitor.jobs.wait_for(result.id, timeout=20)
    assert (job.lost, job.attempt, job.has_errors) == (1, 2, False)


@pytest.mark.parametrize("kind", ["chain", "chord", "link", "link_error"])
def test_a_crash_between_finish_and_celerys_tail_loses_no_continuation(
    shop: ModuleType,
    start_worker: Callable[..., Worker],
    trace: Trace,
    tmp_path: Path,
    kind: str,
) -> None:
    failpoint = {
        "JOBMONITOR_FAILPOINT": "after_finish_before_continue:kill",
        "JOBMONITOR_FAILPOINT_ONCE": str(tmp_path / "once"),
    }
    start_worker(failpoint, concurrency=1)
    if kind == "chain":
        assert chain(shop.traced.s("first"), shop.traced.si("second"))().get(timeout=60)
        assert trace() == ["first", "second"]
    elif kind == "chord":
        assert (
            chord([shop.add.s(1, 1), shop.add.s(2, 2)], shop.total.s())().get(timeout=60) == 6
        )
        assert trace() == ["total 6"]
    elif kind == "link":
        shop.traced.apply_async(("first",), link=shop.traced.si("second"))
        eventually(lambda: trace() == ["first", "second"], within=60)
    else:
        shop.fail.apply_async(link_error=shop.on_error.s())
        eventually(lambda: trace() == ["errback"], within=60)
    assert (tmp_path / "once").exists()
    left = {"status": ("pending", "running"), "roots_only": False}
    eventually(lambda: not shop.monitor.jobs.find(**left).jobs, says="nothing is left to run")


@pytest.mark.timeout(400)
def test_a_parent_killed_at_random_moments_has_each_child_once(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    worker = start_worker(concurrency=2)
    jobs = shop.monitor.jobs
    result = shop.submit_keyed.delay(1000)
    moments = random.Random(20261123)
    for lost in (1, 2):
        seen = jobs.get(result.id).children.total
        more = moments.randrange(50, 250)
        eventually(lambda n=seen + more: jobs.get(result.id).children.total >= n, within=120)
        os.kill(jobs.get(result.id).worker_pid, signal.SIGKILL)
        eventually(lambda n=lost: jobs.get(result.id).lost == n, within=30)
        make_due_now(shop, result.id)
    eventually(lambda: jobs.get(result.id).children.finished == 1000, within=240)
    counts = Counter(trace())
    assert (len(counts), set(counts.values())) == (1000, {1})
    assert jobs.get(result.id).children.total == 1000
    assert worker.alive


def test_nothing_starts_after_the_answer_of_a_stop_during_a_fan_out(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    start_worker(concurrency=2)
    jobs = shop.monitor.jobs
    result = shop.fan_out.delay(10_000)
    eventually(lambda: len(trace()) > 20, within=20)
    [outcome] = jobs.stop(result.id)
    answered = _now(shop)
    assert outcome.changed
    jobs.wait_for(result.id, "stopped", timeout=10)
    eventually(lambda: _in_progress(shop, result.id) == 0, within=10)
    started = _count(shop, result.id, f"started_at > '{answered}'")
    assert started == 0
    assert _count(shop, result.id, "status = 'pending'") == 0


def _now(shop: ModuleType) -> object:
    with shop.monitor.database.connection() as connection:
        return connection.execute("SELECT clock_timestamp()").fetchone()[0]


def _in_progress(shop: ModuleType, root: str) -> int:
    return _count(shop, root, "status IN ('running', 'stopping')")


def _count(shop: ModuleType, root: str, condition: str) -> int:
    with shop.monitor.database.connection() as connection:
        query = f"SELECT count(*) FROM job WHERE root_id = %s AND {condition}"
        return connection.execute(query, (root,)).fetchone()[0]
