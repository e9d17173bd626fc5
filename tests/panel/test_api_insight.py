"""`GET /api/v1/queues`, `/shares`, `/workers`: no worker runs, a test takes in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from flask.testing import FlaskClient

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.transport.fair_queue import FairQueue
from tests.brokers import redis_of
from tests.factories import Records

Headers = dict[str, str]
Submit = Callable[..., str]
Read = Callable[..., Any]


@pytest.fixture
def broker(broker_url: str, records: Records) -> Iterator[FairQueue]:
    """The default queue on the server, empty, as a worker sees it."""
    with redis.Redis.from_url(redis_of(broker_url), decode_responses=True) as client:
        client.flushdb()
        yield FairQueue(client, "celery")


@pytest.fixture
def read(client: FlaskClient, viewer: Headers) -> Read:
    def read(what: str, **query: Any) -> Any:
        answer = client.get(f"/api/v1/{what}", query_string=query, headers=viewer)
        assert answer.status_code == 200, answer.json
        return answer.json

    return read


def test_a_queue_says_what_waits_and_runs_in_it(
    broker: FairQueue, read: Read, submit: Submit
) -> None:
    for _ in range(3):
        submit()
    submit(low_priority=True)
    submit(countdown=600)
    broker.beat("w1", [], slots=4)
    broker.take("w1", 1)
    [queue] = read("queues")["queues"]
    counts = {name: queue[name] for name in ("waiting", "low", "running", "due", "capacity")}
    assert counts == {"waiting": 2, "low": 1, "running": 1, "due": 1, "capacity": 4}
    assert (queue["name"], queue["fair"], queue["roots"]) == ("celery", True, 2)
    assert queue["gate"] == {"is_open": False, "reason": "normal jobs wait"}
    assert (queue["paused_at"], queue["oldest_seconds"] >= 0) == (None, True)


def test_a_queue_that_nobody_consumes_is_shown_where_a_job_waits_in_it(
    broker: FairQueue, read: Read, records: Records
) -> None:
    records.make(queue="forgotten")
    assert [queue["name"] for queue in read("queues")["queues"]] == ["celery", "forgotten"]


def test_a_paused_queue_says_since_when(
    broker: FairQueue, read: Read, monitor: JobMonitor
) -> None:
    assert monitor.insight.pause("celery") is True
    assert monitor.insight.pause("celery") is False
    [queue] = read("queues")["queues"]
    assert queue["paused_at"].startswith("20")
    assert queue["gate"]["reason"] == "the queue is paused"
    assert monitor.insight.unpause("celery") is True
    assert read("queues")["queues"][0]["paused_at"] is None


def test_shares_name_the_root_jobs_in_their_order(
    broker: FairQueue, read: Read, submit: Submit, monitor: JobMonitor
) -> None:
    first = submit(label="first")
    child = monitor.app.send_task("panel.work", (1,), parent_id=first).id
    second = submit(label="second")
    taken, _ = broker.take("w1", 1)
    assert taken is not None
    broker.ack("w1", taken.lease, 2_500.0, root=taken.root, low=False)
    [queue] = read("shares", queue="celery")["queues"]
    assert (queue["queue"], queue["reason"]) == ("celery", None)
    roots = {root["root_id"]: root for root in queue["roots"]}
    assert [(root["label"], root["position"]) for root in queue["roots"]] == [
        ("second", 1), ("first", 2),
    ]  # fmt: skip
    assert (roots[first]["waiting"], roots[first]["type"]) == (1, "panel.work")
    assert roots[first]["last_5_minutes"] == {
        "received_seconds": 2.5, "share": 1.0, "due_share": 1.0,
    }  # fmt: skip
    assert roots[second]["last_hour"] == {
        "received_seconds": 0.0, "share": 0.0, "due_share": 0.5,
    }  # fmt: skip
    assert child not in roots
    assert len(read("shares", limit=1)["queues"][0]["roots"]) == 1
    [alone] = read("shares", root=first)["queues"][0]["roots"]
    assert (alone["root_id"], alone["position"], alone["waiting"]) == (first, 2, 1)


def test_a_worker_says_what_it_runs(
    broker: FairQueue, read: Read, submit: Submit, records: Records
) -> None:
    job = submit(label="Import")
    broker.beat("w1", [], slots=3)
    broker.take("w1", 1)
    assert records.claim(job).verdict == "run"
    submit()
    broker.beat("a stranger", [], slots=1)
    broker.take("a stranger", 1)
    ours, stranger = read("workers")["workers"]
    assert (ours["id"], ours["running"], ours["lives"], ours["pool"]) == (
        "w1", 1, True, "prefork",
    )  # fmt: skip
    [running] = ours["jobs"]
    assert (running["id"], running["label"], running["status"]) == (job, "Import", "running")
    assert running["running_seconds"] >= 0
    assert (stranger["id"], stranger["node"], stranger["slots"]) == ("a stranger", None, 1)
    assert [each["type"] for each in stranger["jobs"]] == ["panel.work"]


def test_a_silent_worker_is_lost_and_one_that_ended_is_not_shown(
    broker: FairQueue, read: Read, records: Records
) -> None:
    records.silence("w1")
    records.worker("w2")
    records.database.rows("end_worker", {"id": "w2"})
    [silent] = read("workers")["workers"]
    assert (silent["id"], silent["lives"]) == ("w1", False)
    assert silent["silent_seconds"] > 3_000


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("queue=nowhere", 404, "there is no queue 'nowhere'; there are: celery"),
        ("limit=0", 422, "limit"),
        ("limit=101", 422, "limit"),
        ("queue=" + "x" * 501, 422, "queue"),
        ("root=" + "x" * 256, 422, "root"),
    ],
)
def test_shares_that_cannot_be_are_refused_in_a_sentence(
    client: FlaskClient, viewer: Headers, broker: FairQueue, query: str, code: int, says: str
) -> None:
    answer = client.get(f"/api/v1/shares?{query}", headers=viewer)
    assert answer.status_code == code
    assert says in answer.get_json()["message"]


@pytest.mark.parametrize("what", ["queues", "shares", "workers"])
def test_where_the_broker_is_away_it_is_said(
    database_url: str, tokens: Headers, what: str
) -> None:
    app = Celery("away", broker="fair-redis://127.0.0.1:1/0", set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)
    client = create_app(monitor, RATELIMIT_ENABLED=False).test_client()
    headers = {"Authorization": f"Bearer {tokens['viewer']}"}
    answer = client.get(f"/api/v1/{what}", headers=headers)
    monitor.database.close()
    message = "the broker cannot be reached"
    assert answer.json == {"code": 503, "status": "Service Unavailable", "message": message}


def test_another_broker_tells_how_much_waits_and_no_more(
    database_url: str, broker_url: str, broker: FairQueue, tokens: Headers, records: Records
) -> None:
    app = Celery("stock", broker=redis_of(broker_url), set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)
    client = create_app(monitor, RATELIMIT_ENABLED=False).test_client()
    headers = {"Authorization": f"Bearer {tokens['viewer']}"}
    app.send_task("panel.work")
    job = records.make_running(label="found by its row")

    def read(what: str) -> Any:
        return client.get(f"/api/v1/{what}", headers=headers).json

    [queue] = read("queues")["queues"]
    assert (queue["fair"], queue["waiting"], queue["gate"], queue["low"]) == (
        False, 1, None, None,
    )  # fmt: skip
    [shares] = read("shares")["queues"]
    assert (shares["roots"], "fair transport" in shares["reason"]) == ([], True)
    [worker] = read("workers")["workers"]
    assert (worker["running"], [each["id"] for each in worker["jobs"]]) == (1, [job])
    app.close()
    monitor.database.close()
