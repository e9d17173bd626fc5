"""A task that a worker does not know, as while a new version is rolled out.

Its message goes back for some time, and is seen waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue
from tests.acceptance_fixtures import imported_app
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.bad_input_app"


@pytest.fixture(scope="module")
def fair_shop(environment: dict[str, str]) -> Iterator[ModuleType]:
    with imported_app(APP, environment | {"SENDER": "1"}) as module:
        yield module


@pytest.fixture(scope="module")
def fair_worker(
    fair_shop: ModuleType, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    knows_less = environment | {"SENDER": ""}
    with workers(Worker(APP, knows_less, tmp_path_factory.mktemp("log"))) as (one,):
        yield one
        assert one.alive


def test_its_message_goes_back_for_some_time_and_says_why(
    fair_shop: ModuleType, fair_worker: Worker, environment: dict[str, str]
) -> None:
    jobs = fair_shop.monitor.jobs
    sent = fair_shop.unknown.apply_async(("kept",))
    events = eventually(lambda: jobs.events(sent.id), within=20)
    why = f"worker {fair_worker.name}@test knows no task '{fair_shop.unknown.name}'"
    assert [(event["event"], event["reason"]) for event in events] == [("returned", why)]
    job = jobs.get(sent.id)
    assert (job.status, job.pending_because, job.has_errors) == ("pending", "due", False)
    assert why in fair_worker.log
    jobs.stop(sent.id)
    client = redis.Redis.from_url(redis_of(environment["BROKER_URL"]))
    queue = FairQueue(client, "celery")
    eventually(lambda: queue.size() == 0, within=20, says="of a stopped job no message waits")
    jobs.resume(sent.id)
    eventually(lambda: jobs.get(sent.id).pending_because == "due", within=20)
    jobs.stop(sent.id)
    assert jobs.cancel(sent.id)[0].changed
    client.close()


def test_a_worker_that_knows_it_runs_it_and_nothing_else_waits_for_that(
    fair_shop: ModuleType, fair_worker: Worker, environment: dict[str, str], tmp_path: Path
) -> None:
    jobs = fair_shop.monitor.jobs
    sent = fair_shop.deployed_later.apply_async(("kept",))
    eventually(lambda: jobs.events(sent.id), within=20)
    assert jobs.wait_for(fair_shop.add.delay(1, 2).id, timeout=20).result == 3
    with workers(Worker(APP, environment | {"SENDER": "1"}, tmp_path)):
        job = jobs.wait_for(sent.id, timeout=30)
    assert (job.result, job.has_errors, job.run, job.attempt) == ("kept", False, 1, 1)
