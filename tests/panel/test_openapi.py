"""The OpenAPI document: each operation in it answers, as the document says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobmonitor import JobMonitor
from jobmonitor.records.logs import Logs, NewLine
from jobmonitor.states import Operation
from tests.factories import Records

Headers = dict[str, str]
Submit = Callable[..., str]
Document = dict[str, Any]

JOBS = "/api/v1/jobs"
ROUTING = [f"/api/v1/{name}" for name in ("queues", "shares", "workers")]
READING = [JOBS, "/api/v1/statistics", *ROUTING] + [
    f"{JOBS}/{{job_id}}{more}" for more in ("", "/children", "/tree", "/logs", "/events")
]
STEERING = [f"{JOBS}/{operation.value}" for operation in Operation]
EXAMPLES = {
    "status": "pending", "type": "panel.work", "limit": "7", "has_errors": "false",
    "low_priority": "false", "system": "false", "run_by": "alice", "root": "x", "parent": "x",
    "q": "x", "queue": "celery", "bucket": "900", "level": "INFO", "order": "oldest",
}  # fmt: skip
FOUND = ("jobs", "lines", "events", "id", "buckets", "queues", "workers")
A_MOMENT = "2026-01-01T00:00:00Z"
KINDS: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
    "number": (int, float), "null": type(None),
}  # fmt: skip


@pytest.fixture(scope="module")
def document(panel: Flask) -> Document:
    found: Document = panel.test_client().get("/api/v1/openapi.json").json
    return found


@pytest.fixture
def family(submit: Submit, monitor: JobMonitor, records_of_module: Records) -> str:
    """A job that has a child, an entry in its audit, a line in its log; and a worker."""
    records_of_module.worker()
    top = submit(label="top", run_by="alice")
    monitor.app.send_task("panel.work", (1,), parent_id=top)
    monitor.jobs.set_low_priority(top)
    monitor.jobs.remove_low_priority(top)
    line = NewLine(top, 1, 0, time.monotonic(), 20, "shop", "a line")
    Logs(monitor.database).append([line], time.monotonic())
    return top


def resolved(document: Document, schema: Document) -> Document:
    """Follow `$ref` to where it points."""
    while "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema


def violations(document: Document, schema: Document, value: Any, at: str = "$") -> list[str]:
    """Say where a value is not what a schema describes; an object has exactly its fields."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        tried = [violations(document, some, value, at) for some in schema["anyOf"]]
        return [] if [] in tried else [line for lines in tried for line in lines]
    kinds = schema.get("type", list(KINDS))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not any(is_kind(value, kind) for kind in kinds):
        return [f"{at} is {value!r}, not {' or '.join(kinds)}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at} is {value!r}, which is not listed")
    if isinstance(value, dict) and "properties" in schema:
        fields = schema["properties"]
        found += [f"{at}.{name} is in one only" for name in fields.keys() ^ value.keys()]
        for name in fields.keys() & value.keys():
            found += violations(document, fields[name], value[name], f"{at}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            found += violations(document, schema["items"], item, f"{at}[{number}]")
    return found


def is_kind(value: Any, kind: str) -> bool:
    """Whether a value has a type of JSON; true is no number."""
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def assert_as_described(document: Document, path: str, method: str, got: TestResponse) -> None:
    """The status is described, and the body has the form described for it."""
    responses = document["paths"][path][method]["responses"]
    assert str(got.status_code) in responses, (path, got.status_code, got.json)
    described = resolved(document, responses[str(got.status_code)])
    schema = described["content"]["application/json"]["schema"]
    assert violations(document, schema, got.json) == []


def test_the_document_is_openapi_3_1_and_needs_no_token(
    client: FlaskClient, document: Document
) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert document["openapi"].startswith("3.1")
    [name] = document["security"][0]
    scheme = document["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_the_document_has_what_the_tests_below_try(document: Document) -> None:
    methods = {path: set(item) - {"parameters"} for path, item in document["paths"].items()}
    assert methods == {path: {"get"} for path in READING} | {
        path: {"post"} for path in STEERING
    }


def test_every_operation_has_a_sentence(document: Document) -> None:
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert item[method]["summary"].endswith("."), (path, method)


@pytest.mark.parametrize("path", READING)
def test_a_read_answers_as_described(
    client: FlaskClient, viewer: Headers, document: Document, family: str, path: str
) -> None:
    answer = client.get(path.replace("{job_id}", family), headers=viewer)
    assert answer.status_code == 200
    assert_as_described(document, path, "get", answer)
    assert any(answer.json.get(name) for name in FOUND)


def test_a_job_is_what_its_view_says(
    client: FlaskClient, viewer: Headers, monitor: JobMonitor, family: str
) -> None:
    shown = client.get(f"{JOBS}/{family}", headers=viewer).json
    view = monitor.jobs.get(family).as_json()
    assert shown.pop("waiting_seconds") <= view.pop("waiting_seconds")
    assert shown == view


@pytest.mark.parametrize("path", STEERING)
def test_an_operation_answers_as_described(
    client: FlaskClient, operator: Headers, document: Document, family: str, path: str
) -> None:
    answer = client.post(path, json={"ids": [family], "reason": "why"}, headers=operator)
    assert answer.status_code in (200, 409)
    assert_as_described(document, path, "post", answer)
    [outcome] = answer.json["outcomes"]
    assert outcome["changed"] is (answer.status_code == 200)


@pytest.mark.parametrize("path", READING + STEERING)
def test_every_operation_needs_a_token(
    client: FlaskClient, document: Document, path: str
) -> None:
    method = "get" if path in READING else "post"
    answer = client.open(path.replace("{job_id}", "x"), method=method, json={"ids": ["x"]})
    assert answer.status_code == 401
    assert set(answer.json) == {"code", "status", "message"}


@pytest.mark.parametrize("path", STEERING)
def test_no_operation_is_open_to_a_viewer(
    client: FlaskClient, viewer: Headers, family: str, monitor: JobMonitor, path: str
) -> None:
    before = monitor.jobs.events(family)
    assert client.post(path, json={"ids": [family]}, headers=viewer).status_code == 403
    assert monitor.jobs.events(family) == before


@pytest.mark.parametrize("path", READING)
def test_a_read_takes_the_parameters_described_and_no_other(
    client: FlaskClient, viewer: Headers, document: Document, family: str, path: str
) -> None:
    address = path.replace("{job_id}", family)
    described = document["paths"][path]["get"].get("parameters", [])
    names = {each["name"] for each in described if each["in"] == "query"} - {"cursor"}
    for name in names:
        query = {name: EXAMPLES.get(name, A_MOMENT)}
        answer = client.get(address, query_string=query, headers=viewer)
        assert answer.status_code == 200, (name, answer.json)
    if described:
        answer = client.get(address, query_string={"nothing": "1"}, headers=viewer)
        assert answer.status_code == 422


@pytest.mark.parametrize("path", STEERING)
def test_a_body_that_is_not_as_described_is_refused_in_one_sentence(
    client: FlaskClient, operator: Headers, path: str
) -> None:
    for body in ({}, {"ids": []}, {"ids": "x"}, {"ids": ["x"], "more": 1}, []):
        answer = client.post(path, json=body, headers=operator)
        assert answer.status_code == 422
        assert set(answer.json) == {"code", "status", "message"}
        assert answer.json["code"] == 422


def test_a_body_takes_a_thousand_ids_and_no_more(
    client: FlaskClient, operator: Headers, document: Document
) -> None:
    body = resolved(document, {"$ref": "#/components/schemas/OperationArguments"})
    assert body["properties"]["ids"]["maxItems"] == 1_000
    ids = [f"nobody-{number}" for number in range(1_001)]
    answer = client.post(f"{JOBS}/stop", json={"ids": ids}, headers=operator)
    assert (answer.status_code, "1000" in answer.json["message"]) == (422, True)
