"""Adoption finds every task, whenever it was registered or touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from celery import signature

from jobmonitor.embedded import create_database
from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.late_app"


@pytest.fixture(scope="module")
def late(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModuleType]:
    with (
        imported_app(APP, environment) as module,
        workers(Worker(APP, environment, tmp_path_factory.mktemp("log"))),
    ):
        yield module


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("late.touched", "hi True"),
        ("late.by_class", "hi True"),
        ("late.with_base", ["called", "hi True"]),
        ("late.bound", "hi True"),
        ("late.shared", "hi True"),
        ("late.afterwards", "hi True"),
        ("late.runs_alone", ["own", True, "hi True"]),
    ],
)
def test_a_task_of_every_kind_is_a_job(late: ModuleType, name: str, value: object) -> None:
    result = late.app.tasks[name].delay("hi")
    assert result.get(timeout=15) == value
    job = late.monitor.jobs.get(result.id)
    assert (job.type, job.status, job.result) == (name, "finished", value)


def test_a_task_sent_by_name_or_by_an_unregistered_signature_is_a_job(late: ModuleType) -> None:
    by_name = late.app.send_task(
        "late.touched", ("hi",), headers={"jobmonitor": {"run_by": "x"}}
    )
    by_signature = signature("late.shared", ("hi",), app=late.app).set(run_by="y").delay()
    assert late.monitor.jobs.wait_for(by_name.id).run_by == "x"
    assert late.monitor.jobs.wait_for(by_signature.id).run_by == "y"


def test_a_pattern_makes_tasks_restartable_that_one_cannot_edit(late: ModuleType) -> None:
    job = late.monitor.jobs.wait_for(late.touched.delay("again").id)
    assert job.restartable
    assert late.monitor.jobs.restart(job.id)[0].changed
    other = late.monitor.jobs.wait_for(late.bound.delay("once").id)
    assert not other.restartable


def test_a_label_may_be_made_of_the_arguments(late: ModuleType) -> None:
    assert late.monitor.jobs.get(late.afterwards.delay("hello").id).label == "Say hello"


def test_an_untracked_task_is_no_job_and_its_children_belong_to_the_nearest_one(
    late: ModuleType,
) -> None:
    alone = late.untracked.delay("hi")
    assert alone.get(timeout=15) == "hi False"
    top = late.submits_untracked.delay()
    eventually(lambda: late.monitor.jobs.get(top.id).children.finished == 1)
    [_, child] = late.monitor.jobs.tree(top.id)
    assert child.job.args == ["from an untracked task"]


def test_a_task_that_calls_itself_is_one_job(late: ModuleType) -> None:
    result = late.recursive.delay(5)
    assert result.get(timeout=15) == 0
    assert late.monitor.jobs.wait_for(result.id).attempt == 1


def test_called_directly_or_eagerly_a_task_is_no_job(late: ModuleType) -> None:
    before = len(late.monitor.jobs.find(limit=500).jobs)
    assert late.touched("hi") == "hi False"
    assert late.touched.apply(("hi",)).get() == "hi False"
    assert len(late.monitor.jobs.find(limit=500).jobs) == before


def test_a_worker_refuses_a_database_without_our_tables(
    late: ModuleType, environment: dict[str, str], tmp_path: Path
) -> None:
    url = create_database(environment["JOBMONITOR_DATABASE_URL"], "without_tables")
    extra = {"JOBMONITOR_DATABASE_URL": url}
    worker = Worker(APP, environment | extra, tmp_path).start(wait=False)
    assert worker.wait(30) == 1
    assert "run `celery -A your_app jobs migrate`" in worker.log.splitlines()[-1]


def test_an_app_is_adopted_once(late: ModuleType) -> None:
    from jobmonitor import JobMonitor
    from jobmonitor.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="has a JobMonitor already"):
        JobMonitor(late.app)


def test_a_worker_says_once_what_changed(
    late: ModuleType, environment: dict[str, str], tmp_path: Path
) -> None:
    with workers(Worker(APP, environment, tmp_path)) as (worker,):
        eventually(lambda: "run again when their worker is lost" in worker.log)
    assert worker.log.count("run again when their worker is lost") == 1


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (
            {"JOBMONITOR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
            "cannot be reached",
        ),
        ({"DEDUPLICATE": "1"}, "worker_deduplicate_successful_tasks is on"),
    ],
)
def test_a_worker_refuses_what_would_break_jobs(
    late: ModuleType,
    environment: dict[str, str],
    tmp_path: Path,
    extra: dict[str, str],
    sentence: str,
) -> None:
    worker = Worker(APP, environment | extra, tmp_path).start(wait=False)
    assert worker.wait(30) == 1
    last = worker.log.strip().splitlines()[-1]
    assert last.startswith("jobmonitor: ")
    assert sentence in last
