"""A task that a worker does not know, on a broker that keeps nothing back for later.

Its job ends, its message is kept, and a restart runs it once a worker knows its task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery.exceptions import NotRegistered

from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.bad_input_app"


@pytest.fixture(scope="module")
def environment_of_stock(environment: dict[str, str], plain_broker_url: str) -> dict[str, str]:
    return environment | {"BROKER_URL": plain_broker_url}


@pytest.fixture(scope="module")
def shop(environment_of_stock: dict[str, str]) -> Iterator[ModuleType]:
    with imported_app(APP, environment_of_stock | {"SENDER": "1"}) as module:
        yield module


@pytest.fixture(scope="module")
def worker(
    shop: ModuleType,
    environment_of_stock: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    knows_less = environment_of_stock | {"SENDER": ""}
    with workers(Worker(APP, knows_less, tmp_path_factory.mktemp("log"))) as (one,):
        yield one
        assert one.alive


@pytest.fixture
def run(shop: ModuleType, worker: Worker) -> Callable[..., Any]:
    """Submit a task by name, and wait for the end of its job."""

    def run(name: str, *args: Any, **options: Any) -> Any:
        sent = getattr(shop, name).apply_async(args, **options)
        return shop.monitor.jobs.wait_for(sent.id, timeout=30)

    return run


def lines(shop: ModuleType, job_id: str) -> list[str]:
    """What a job logged."""
    found = shop.monitor.jobs.logs(job_id, newest_first=False).lines
    return [line.message for line in found]


def test_a_job_of_a_task_that_its_worker_does_not_know_has_failed_and_its_message_is_kept(
    run: Callable[..., Any], shop: ModuleType, worker: Worker
) -> None:
    job = run("unknown", "kept")
    assert job.error == (
        f"NotRegistered: worker {worker.name}@test knows no task '{shop.unknown.name}'; "
        "mend that, then restart the job"
    )
    assert (job.has_errors, job.attempt, job.started_at) == (True, 0, None)
    assert lines(shop, job.id) == [job.error]
    assert [event["event"] for event in shop.monitor.jobs.events(job.id)] == ["finished"]
    assert eventually(lambda: shop.app.AsyncResult(job.id).state == "FAILURE")
    assert isinstance(shop.app.AsyncResult(job.id).result, NotRegistered)
    assert "restart" in job.operations
    [outcome] = shop.monitor.jobs.restart(job.id)
    assert outcome.changed
    again = shop.monitor.jobs.wait_for(job.id, timeout=20)
    assert (again.run, again.error) == (2, job.error)


def test_it_runs_once_a_worker_knows_its_task(
    run: Callable[..., Any], shop: ModuleType, worker: Worker,
    environment_of_stock: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    control, here = shop.app.control, [f"{worker.name}@test"]
    control.add_consumer("early", destination=here, reply=True)
    job = run("deployed_later", "kept", queue="early")
    assert job.has_errors
    control.cancel_consumer("early", destination=here, reply=True)
    knowing = Worker(
        APP, environment_of_stock | {"SENDER": "1"}, tmp_path, options=("-Q", "early")
    )
    shop.monitor.jobs.restart(job.id)
    with workers(knowing):
        again = shop.monitor.jobs.wait_for(job.id, timeout=30)
    assert (again.result, again.has_errors, again.run) == ("kept", False, 2)


def test_a_stopped_job_whose_message_was_dropped_is_published_again_when_it_is_resumed(
    shop: ModuleType, worker: Worker
) -> None:
    jobs, here = shop.monitor.jobs, [f"{worker.name}@test"]
    sent = shop.unknown.apply_async(("kept",), queue="parked")
    jobs.stop(sent.id)
    shop.app.control.add_consumer("parked", destination=here, reply=True)
    eventually(lambda: shop.app.AsyncResult(sent.id).state == "FAILURE", within=20)
    assert (jobs.get(sent.id).status, jobs.get(sent.id).error) == ("stopped", None)
    jobs.resume(sent.id)
    assert jobs.wait_for(sent.id, timeout=20).error.startswith("NotRegistered: ")
