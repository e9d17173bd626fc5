"""Who may ask, and what comes of input that makes no sense."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from celery import Celery
from flask.testing import FlaskClient

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.records.tokens import Tokens

Headers = dict[str, str]


def test_without_a_token_nothing_is_told(client: FlaskClient) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
        answer = client.get("/api/v1/jobs", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].lower().startswith("bearer")
        assert "token" in answer.json["message"]


def test_a_cookie_alone_changes_nothing(client: FlaskClient, tokens: Headers) -> None:
    client.set_cookie("token", tokens["operator"])
    answer = client.post("/api/v1/jobs/stop", json={"ids": ["x"]})
    assert answer.status_code == 401


def test_a_viewer_reads_and_does_not_change(client: FlaskClient, viewer: Headers) -> None:
    assert client.get("/api/v1/jobs", headers=viewer).status_code == 200
    answer = client.post("/api/v1/jobs/stop", json={"ids": ["x"]}, headers=viewer)
    assert (answer.status_code, "operator" in answer.json["message"]) == (403, True)


def test_a_revoked_token_opens_nothing(client: FlaskClient, monitor: JobMonitor) -> None:
    tokens = Tokens(monitor.database)
    secret = tokens.create("brief", "viewer")
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/jobs", headers=headers).status_code == 200
    tokens.revoke("brief")
    assert client.get("/api/v1/jobs", headers=headers).status_code == 401
    assert tokens.create("brief", "viewer") != secret
    with monitor.database.connection() as connection:
        [(stored,)] = connection.execute("SELECT string_agg(t::text, '') FROM api_token t")
    assert secret not in stored


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ("limit=0", 422, "limit"),
        ("limit=many", 422, "limit"),
        ("status=sleeping", 422, "status"),
        ("cursor=nonsense", 400, "cursor"),
        ("cursor=WzFd", 400, "cursor"),
        ("created_from=yesterday", 422, "created_from"),
        ("nothing=1", 422, "nothing"),
        ("root=" + "x" * 10_000, 422, "root"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_so(
    client: FlaskClient, viewer: Headers, query: str, code: int, says: str
) -> None:
    answer = client.get(f"/api/v1/jobs?{query}", headers=viewer)
    assert answer.status_code == code, answer.json
    assert says in answer.json["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", 400),
        (b'{"ids": "abc"}', 422),
        (b'{"ids": []}', 422),
        (b'{"ids": [1]}', 422),
        (b'{"ids": ["a"], "reason": 7}', 422),
        (b'{"ids": ["a"], "force": true}', 422),
        (b"[]", 422),
        (b'{"ids": ["\\u0000"]}', 404),
        (b'{"ids": ["\\ud800"]}', 404),
        (b'{"ids": ["' + b"x" * 10_000 + b'"]}', 404),
        (b'{"ids": [' + b",".join(b'"x%d"' % n for n in range(10_000)) + b"]}", 422),
        (b"", 422),
        (b'{"ids": [null]}', 422),
        (b"\xff", 400),
    ],
)
def test_a_body_that_makes_no_sense_is_told_so(
    client: FlaskClient, operator: Headers, body: bytes, code: int
) -> None:
    answer = client.post(
        "/api/v1/jobs/stop", data=body, headers=operator, content_type="application/json"
    )
    assert answer.status_code == code, answer.json
    assert answer.json["message"]


def test_a_reason_with_nul_is_kept_as_text(
    client: FlaskClient, operator: Headers, submit: Callable[..., str]
) -> None:
    body = {"ids": [submit()], "reason": "a\0b\ud800"}
    assert client.post("/api/v1/jobs/stop", json=body, headers=operator).status_code == 200


@pytest.mark.parametrize("job_id", ["nobody", "%00", "%ED%A0%80", "a%00b/c", "x" * 10_000])
@pytest.mark.parametrize("resource", ["", "/children", "/tree", "/logs", "/events"])
def test_an_id_that_is_unknown_or_cannot_be_is_told_so_shortly(
    client: FlaskClient, viewer: Headers, job_id: str, resource: str
) -> None:
    answer = client.get(f"/api/v1/jobs/{job_id}{resource}", headers=viewer)
    assert answer.status_code == 404
    assert answer.json["message"].startswith("there is no job with the id '")
    assert len(answer.json["message"]) < 100


def test_what_is_away_is_a_503_with_a_sentence(
    database_url: str, broker_url: str, tokens: Headers
) -> None:
    app = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    monitor = JobMonitor(app, database_url="postgresql://nobody@127.0.0.1:1/none")
    client = create_app(monitor, RATELIMIT_ENABLED=False).test_client()
    headers = {"Authorization": f"Bearer {tokens['viewer']}"}
    answer = client.get("/api/v1/jobs", headers=headers)
    assert answer.status_code == 503
    assert "cannot be reached" in answer.json["message"]
    ready = client.get("/readyz")
    assert (ready.status_code, len(ready.json["problems"])) == (503, 2)
    assert client.get("/healthz").status_code == 200


def test_ready_and_healthy(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {"status": "ready"}
    assert client.get("/healthz").json == {"status": "ok"}


def test_every_answer_has_its_headers(client: FlaskClient) -> None:
    for path in ("/", "/healthz", "/api/v1/jobs", "/nothing"):
        headers = client.get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_the_document_describes_every_resource(client: FlaskClient) -> None:
    document = client.get("/api/v1/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert {path.removeprefix("/api/v1/jobs") for path in document["paths"]} == {
        "/api/v1/statistics", "/api/v1/queues", "/api/v1/shares", "/api/v1/workers",
        "", "/{job_id}", "/{job_id}/children", "/{job_id}/tree", "/{job_id}/logs",
        "/{job_id}/events", "/stop",
        "/resume", "/force-stop", "/cancel", "/restart", "/set-low-priority",
        "/remove-low-priority",
    }  # fmt: skip
    assert {"200", "409", "422"} <= set(
        document["paths"]["/api/v1/jobs/stop"]["post"]["responses"]
    )


def test_guessing_tokens_is_slowed_down(database_url: str, monitor: JobMonitor) -> None:
    client = create_app(monitor).test_client()
    headers = {"Authorization": "Bearer guess"}
    codes = [client.get("/api/v1/jobs", headers=headers).status_code for _ in range(40)]
    assert codes[0] == 401
    assert codes[-1] == 429
