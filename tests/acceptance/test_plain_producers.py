"""Producers that know nothing of jobmonitor, and push onto plain Redis lists.

They can be upgraded later or never: what they send is a job, seen waiting as soon as a worker
has found it; what nobody can read is set aside, and said so.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import redis
from celery import Celery

from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.quarantine import Quarantine, Quarantined
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker

ADD = "tests.acceptance.app.add"


@pytest.fixture(scope="module")
def plain(environment: dict[str, str]) -> Iterator[Celery]:
    url = redis_of(environment["BROKER_URL"])
    with Celery("plain", broker=url, set_as_current=False) as app:
        yield app


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_of(environment["BROKER_URL"])) as client:
        yield client


def test_what_a_plain_producer_sends_is_a_job_that_waits_before_it_runs(
    shop: ModuleType, worker: Worker, plain: Celery, server: redis.Redis
) -> None:
    jobs = shop.monitor.jobs
    FairQueue(server, "celery").pause(on=True)
    sent = plain.send_task(ADD, (1, 2))
    waiting = eventually(lambda: found(jobs, sent.id), within=20, every=0.1)
    assert (waiting.status, waiting.type) == ("pending", ADD)
    assert waiting.args == [1, 2]
    assert [event["event"] for event in jobs.events(sent.id)] == ["adopted"]
    FairQueue(server, "celery").pause(on=False)
    job = jobs.wait_for(sent.id, timeout=30)
    assert (job.result, job.attempt, job.created_at) == (3, 1, waiting.created_at)


def test_the_last_priority_of_a_plain_producer_is_low(
    shop: ModuleType, worker: Worker, plain: Celery
) -> None:
    sent = plain.send_task(ADD, (1, 2), priority=9)
    eventually(lambda: found(shop.monitor.jobs, sent.id), within=20)
    assert shop.monitor.jobs.wait_for(sent.id, timeout=30).result == 3


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"body": base64.b64encode(b"no json").decode()}, "DecodeError"),
        ({"content-type": "application/x-python-serialize"}, "ContentDisallowed"),
        ({"headers": None}, "it is not the message of a task"),
        ({"headers": {"lang": "py"}}, "it is not the message of a task"),
        ({"eta": "no date"}, "InvalidTaskError"),
        ({"id": None}, "the message of a task has no id"),
    ],
)
def test_what_no_worker_can_read_is_kept_with_its_reason(
    worker: Worker, shop: ModuleType, server: redis.Redis, changed: dict[str, Any], reason: str
) -> None:
    message = raw("an-id") | {key: value for key, value in changed.items() if "-" in key}
    message |= {key: value for key, value in changed.items() if key in message}
    if {"eta", "id"} & set(changed):
        message["headers"] = message["headers"] | changed
    before = len(entries(server))
    server.lpush("celery", json.dumps(message))
    eventually(lambda: len(entries(server)) == before + 1, within=20)
    assert reason in entries(server)[0].reason
    assert shop.add.delay(1, 2).get(timeout=20) == 3
    assert worker.alive


def test_wrong_arguments_are_the_jobs_own_error(
    shop: ModuleType, worker: Worker, plain: Celery
) -> None:
    sent = plain.send_task(ADD, (1, 2, 3))
    eventually(lambda: found(shop.monitor.jobs, sent.id), within=20)
    job = shop.monitor.jobs.wait_for(sent.id, timeout=20)
    assert job.error.startswith("TypeError")


def test_a_message_that_names_a_job_which_is_not_there_is_set_aside(
    shop: ModuleType, worker: Worker, server: redis.Redis
) -> None:
    before = len(entries(server))
    message = raw("restored-from-a-backup")
    message["headers"] |= {"jobmonitor": {"dispatch": 1}}
    server.lpush("celery", json.dumps(message))
    eventually(lambda: len(entries(server)) == before + 1, within=20)
    reason = "there is no job restored-from-a-backup, which its message names"
    assert entries(server)[0].reason == reason


def test_a_purge_cancels_what_waited(shop: ModuleType, worker: Worker, plain: Celery) -> None:
    jobs = shop.monitor.jobs
    waiting = shop.add.apply_async((1, 2), queue="nobody")
    later = shop.add.apply_async((1, 2), queue="nobody", countdown=300)
    stopped = shop.add.apply_async((1, 2), queue="nobody")
    jobs.stop(stopped.id)
    with shop.app.connection_for_write() as connection:
        assert connection.default_channel.queue_purge("nobody") >= 2
    for job_id in (waiting.id, later.id):
        assert jobs.get(job_id).status == "canceled"
        (event,) = jobs.events(job_id)
        assert (event["event"], event["reason"]) == ("cancel", "purged")
    assert jobs.get(stopped.id).status == "stopped"
    shop.app.control.add_consumer("nobody", destination=[f"{worker.name}@test"], reply=True)
    jobs.resume(stopped.id)
    assert jobs.wait_for(stopped.id, timeout=20).result == 3


def raw(job_id: str) -> dict[str, Any]:
    """A message of `add` as a producer without jobmonitor writes it."""
    body = base64.b64encode(json.dumps([[1, 2], {}, {}]).encode()).decode()
    delivery = {"exchange": "", "routing_key": "celery"}
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": ADD, "id": job_id, "root_id": job_id},
        "properties": {
            "body_encoding": "base64", "delivery_info": delivery, "delivery_tag": job_id,
            "priority": 0,
        },
    }  # fmt: skip


def entries(server: redis.Redis) -> list[Quarantined]:
    return Quarantine(FairQueue(server, "celery")).entries()


def found(jobs: Any, job_id: str) -> Any:
    """The job while it waits; None before its row is there."""
    page = jobs.find(q=job_id).jobs
    return page[0] if page else None
