"""A pool process that dies: its main sees it, and what it ran goes on or ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tests.acceptance_fixtures import make_due_now
from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]


def test_a_dead_child_is_seen_by_its_main_and_the_job_goes_on_from_its_checkpoint(
    shop: ModuleType, worker: Worker, trace: Trace, tmp_path: Path
) -> None:
    began = time.monotonic()
    job = shop.monitor.jobs.wait_for(
        shop.dies_at.delay(2, str(tmp_path / "marker")).id, timeout=15
    )
    assert time.monotonic() - began < 7
    assert (job.lost, job.attempt, job.has_errors) == (1, 2, False)
    assert trace() == ["step 0", "step 1", "step 2", "step 2", "step 3"]


def test_a_job_that_kills_its_process_every_time_ends_at_the_cap(
    shop: ModuleType, worker: Worker, environment: dict[str, str]
) -> None:
    jobs = shop.monitor.jobs
    result = shop.leave.delay("die")
    for lost in (1, 2, 3):
        eventually(lambda lost=lost: jobs.get(result.id).lost >= lost, within=15)
        make_due_now(shop, result.id)
    job = jobs.wait_for(result.id, timeout=20)
    assert (job.lost, job.has_errors) == (4, True)
    assert eventually(lambda: result.state == "FAILURE", within=10)


def test_a_task_that_must_not_run_twice_ends_with_the_reason(
    shop: ModuleType, worker: Worker, trace: Trace
) -> None:
    job = shop.monitor.jobs.wait_for(shop.pay.delay(100).id, timeout=10)
    assert trace() == ["paid 100"]
    assert (job.has_errors, job.attempt) == (True, 1)
    assert "exitcode 3" in job.error
