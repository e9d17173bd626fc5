"""What the API says and does not say where a server is away, and how it is started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from urllib.parse import quote

import pytest
from celery import Celery
from flask.testing import FlaskClient

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.errors import ConfigurationError

Headers = dict[str, str]
Submit = Callable[..., str]
NOWHERE = "redis://127.0.0.1:1/0"


def client_of(broker: str, database_url: str) -> FlaskClient:
    app = Celery("panel", broker=broker, set_as_current=False)
    return create_app(JobMonitor(app, database_url=database_url)).test_client()


def test_an_operation_that_cannot_be_published_changes_nothing(
    database_url: str, operator: Headers, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    answer = client_of(NOWHERE, database_url).post(
        "/api/v1/jobs/set-low-priority", json={"ids": [job_id]}, headers=operator
    )
    assert (answer.status_code, answer.json["message"]) == (503, "the broker cannot be reached")
    assert monitor.jobs.get(job_id).low_priority is False


def test_without_a_broker_all_can_be_read_and_failures_are_still_limited(
    database_url: str, viewer: Headers
) -> None:
    client = client_of(NOWHERE, database_url)
    wrong = {"Authorization": "Bearer wrong"}
    codes = [client.get("/api/v1/jobs", headers=wrong).status_code for _ in range(35)]
    assert {codes[0], codes[-1]} == {401, 429}
    assert client.get("/api/v1/jobs", headers=viewer).status_code == 200


def test_who_guesses_does_not_lock_out_who_has_a_token(
    client: FlaskClient, viewer: Headers
) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    codes = {client.get("/api/v1/jobs", headers=wrong).status_code for _ in range(40)}
    assert 429 in codes
    assert client.get("/api/v1/jobs", headers=viewer).status_code == 200


def test_a_stranger_does_not_learn_where_the_servers_are() -> None:
    client = client_of(NOWHERE, "postgresql://someone:sesame@127.0.0.1:1/none")
    answers = [
        client.get("/readyz"),
        client.get("/api/v1/jobs", headers={"Authorization": "Bearer x"}),
    ]
    for answer in answers:
        assert answer.status_code == 503
        assert "cannot be reached" in answer.text
        for word in ("someone", "sesame", "127.0.0.1"):
            assert word not in answer.text


def test_an_id_with_a_slash_is_an_id(
    client: FlaskClient, viewer: Headers, submit: Submit
) -> None:
    job_id = submit(task_id="orders/17")
    address = f"/api/v1/jobs/{quote(job_id, safe='')}"
    assert client.get(address, headers=viewer).json["id"] == job_id
    for more in ("children", "tree", "events"):
        assert client.get(f"{address}/{more}", headers=viewer).status_code == 200


def test_a_body_nested_without_end_is_a_bad_request(
    client: FlaskClient, operator: Headers
) -> None:
    body = b"[" * 100_000
    answer = client.post(
        "/api/v1/jobs/stop", data=body, headers=operator, content_type="application/json"
    )
    assert (answer.status_code, "nested" in answer.json["message"]) == (400, True)


def test_many_unknown_ids_are_counted(client: FlaskClient, operator: Headers) -> None:
    answer = client.post("/api/v1/jobs/stop", json={"ids": ["a", "b"]}, headers=operator)
    assert (answer.status_code, answer.json["message"]) == (
        404, "there is no job with any of these 2 ids",
    )  # fmt: skip


def test_the_fields_of_a_job_come_in_the_order_of_the_design(
    client: FlaskClient, viewer: Headers, submit: Submit, monitor: JobMonitor
) -> None:
    job_id = submit()
    shown = client.get(f"/api/v1/jobs/{job_id}", headers=viewer).json
    assert list(shown) == list(monitor.jobs.get(job_id).as_json())


def test_the_environment_names_the_app(
    monitor: JobMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("some_app")
    module.app, module.other = monitor.app, object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_app", module)
    for name in ("some_app", "some_app:app"):
        monkeypatch.setenv("JOBMONITOR_APP", name)
        assert create_app().test_client().get("/readyz").status_code == 200
    for name in ("", "some_app:other", "some_app:none", "no_such_module:app"):
        monkeypatch.setenv("JOBMONITOR_APP", name)
        with pytest.raises(ConfigurationError):
            create_app()
