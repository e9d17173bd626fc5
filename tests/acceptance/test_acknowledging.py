"""Tasks that are acknowledged early, and what becomes of them when their worker dies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.verbs_world import Verbs
from tests.waiting import eventually
from tests.workers import Worker

EARLY = ("early", "early_by_base")
LATE = ("end", "late", "unacknowledged")


@pytest.fixture(scope="module")
def died(verbs: Verbs, verbs_worker: Worker) -> dict[str, Any]:
    """A job of each task, whose first attempt kills its process."""
    return {task: verbs.submit(task, "die") for task in (*EARLY, *LATE)}


@pytest.mark.parametrize("task", EARLY)
def test_a_task_that_said_early_never_runs_twice(
    verbs: Verbs, died: dict[str, Any], task: str
) -> None:
    result = died[task]
    job = verbs.jobs.wait_for(result.id, timeout=60)
    assert (job.has_errors, job.attempt, job.lost) == (True, 1, 1)
    assert "exitcode 3" in job.error
    assert verbs.lines(result.id, "run") == ["run"]
    assert eventually(lambda: result.state == "FAILURE", within=20)


@pytest.mark.parametrize("task", LATE)
def test_any_other_task_runs_again_when_its_process_dies(
    verbs: Verbs, died: dict[str, Any], task: str
) -> None:
    result = died[task]
    job = verbs.jobs.wait_for(result.id, timeout=60)
    assert (job.has_errors, job.attempt, job.lost, job.result) == (False, 2, 1, "die")
    assert result.get(timeout=60) == "die"


def test_the_worker_names_the_tasks_that_now_run_again_and_no_others(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    [sentence] = [line for line in verbs_worker.log.splitlines() if "run again when" in line]
    named = sentence.rpartition(": ")[2].split(", ")
    assert {"verbs.end", "verbs.flaky"} <= set(named)
    assert not set(named) & {
        "verbs.early", "verbs.early_by_base", "verbs.late", "verbs.unacknowledged",
    }  # fmt: skip


def test_a_failure_that_is_not_acknowledged_is_rejected_and_ends_all_the_same(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    task = verbs.module.app.tasks["verbs.unacknowledged"]
    assert (task.acks_late, task.acks_on_failure, task.acks_on_timeout) == (True, False, True)
    assert verbs.module.app.tasks["verbs.end"].acks_on_failure is True
    job = verbs.jobs.wait_for(verbs.submit("unacknowledged", "fail").id, timeout=20)
    assert (job.has_errors, job.attempt) == (True, 1)


def test_a_requeue_waits_a_second_and_counts_as_a_retry(
    verbs: Verbs, verbs_worker: Worker
) -> None:
    result = verbs.submit("end", "requeue")
    eventually(lambda: verbs.jobs.get(result.id).pending_because == "retry", within=20)
    assert verbs.jobs.get(result.id).due_at is not None
    job = verbs.jobs.wait_for(result.id, timeout=20)
    assert (job.retries, job.attempt, job.result) == (1, 2, "requeue")
    eventually(lambda: len(verbs.lines(result.id, "postrun")) == 2, within=20)
    assert verbs.lines(result.id, "postrun") == ["postrun REJECTED", "postrun SUCCESS"]
