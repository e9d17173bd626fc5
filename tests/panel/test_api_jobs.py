"""`/api/v1/jobs`: reading and steering over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from jobmonitor import JobMonitor

Headers = dict[str, str]
Submit = Callable[..., str]
FIELDS = [
    "id",
    "label",
    "type",
    "run_by",
    "parent_id",
    "root_id",
    "queue",
    "status",
    "pending_because",
    "has_errors",
    "error",
    "low_priority",
    "system",
    "created_at",
    "due_at",
    "waiting_seconds",
    "started_at",
    "duration_seconds",
    "finished_at",
    "progress",
    "children",
    "descendants",
    "stoppable",
    "restartable",
    "operations",
    "run",
    "attempt",
    "retries",
    "lost",
    "worker",
    "args",
    "kwargs",
    "result",
]


def post(client: FlaskClient, operation: str, ids: list[str], headers: Headers, **more: str):
    body = {"ids": ids, **more}
    return client.post(f"/api/v1/jobs/{operation}", json=body, headers=headers)


def test_a_job_has_the_fields_of_the_design(
    client: FlaskClient, viewer: Headers, submit: Submit
) -> None:
    job_id = submit(1, label="A label", run_by="alice")
    job = client.get(f"/api/v1/jobs/{job_id}", headers=viewer).json
    assert sorted(job) == sorted(FIELDS)
    assert (job["label"], job["run_by"], job["status"]) == ("A label", "alice", "pending")
    assert job["operations"] == ["stop", "set-low-priority"]
    assert job["progress"] == {"done": None, "total": None, "percent": None, "message": None}


def test_pages_follow_each_other_without_gaps_while_jobs_arrive(
    client: FlaskClient, viewer: Headers, submit: Submit
) -> None:
    ids = [submit(run_by="pages") for _ in range(7)]
    query = {"run_by": "pages", "limit": 3}
    seen, cursor = [], None
    while True:
        page = client.get(
            "/api/v1/jobs", query_string=query | ({"cursor": cursor} if cursor else {}),
            headers=viewer,
        ).json  # fmt: skip
        seen += [job["id"] for job in page["jobs"]]
        submit(run_by="pages")
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"system": "true"}, 1),
        ({"system": "false", "low_priority": "true"}, 1),
        ({"status": ["pending"], "q": "NEEDLE"}, 1),
        ({"type": ["panel.tidy", "nothing"]}, 1),
        ({"status": ["stopped", "running"]}, 0),
        ({"created_from": "2100-01-01T00:00:00+00:00"}, 0),
        ({"has_errors": "true"}, 0),
    ],
)
def test_filters(
    client: FlaskClient, viewer: Headers, submit: Submit, monitor: JobMonitor, query, found: int
) -> None:
    with monitor.database.connection() as connection:
        connection.execute("TRUNCATE job")
    submit(task="panel.tidy")
    submit(low_priority=True)
    submit(label="a needle in a haystack")
    page = client.get("/api/v1/jobs", query_string=query, headers=viewer).json
    assert len(page["jobs"]) == found


def test_an_operation_answers_for_each_id(
    client: FlaskClient, operator: Headers, submit: Submit, monitor: JobMonitor
) -> None:
    one, two = submit(), submit(task="panel.tidy")
    answer = post(client, "stop", [one, two, "nobody"], operator, reason="why not")
    assert answer.status_code == 200
    outcomes = answer.json["outcomes"]
    assert [o["changed"] for o in outcomes] == [True, False, False]
    assert [o["status"] for o in outcomes] == ["stopped", "pending", None]
    assert outcomes[2]["reason"] == "there is no job with this id"
    event = client.get(f"/api/v1/jobs/{one}/events", headers=operator).json["events"][-1]
    assert (event["actor"], event["reason"], event["to_status"]) == (
        "a-operator", "why not", "stopped",
    )  # fmt: skip


def test_each_operation_has_its_own_resource(
    client: FlaskClient, operator: Headers, submit: Submit
) -> None:
    job_id = submit()
    steps = [
        ("set-low-priority", 200), ("set-low-priority", 409), ("remove-low-priority", 200),
        ("force-stop", 409), ("stop", 200), ("stop", 409), ("resume", 200), ("restart", 409),
        ("stop", 200), ("cancel", 200), ("resume", 409),
    ]  # fmt: skip
    for operation, code in steps:
        answer = post(client, operation, [job_id], operator)
        assert answer.status_code == code, (operation, answer.json)
        if code == 409:
            assert answer.json["outcomes"][0]["reason"]


def test_unknown_ids_are_404(client: FlaskClient, operator: Headers) -> None:
    answer = post(client, "stop", ["nobody"], operator)
    assert (answer.status_code, answer.json["message"]) == (
        404, "there is no job with the id 'nobody'",
    )  # fmt: skip
    for path in ("", "/children", "/tree", "/events"):
        assert client.get(f"/api/v1/jobs/nobody{path}", headers=operator).status_code == 404


def test_children_and_tree(
    client: FlaskClient, viewer: Headers, submit: Submit, monitor: JobMonitor
) -> None:
    top = submit()
    message_parent = {"parent_id": top}
    child = monitor.app.send_task("panel.work", (1,), **message_parent).id
    page = client.get(f"/api/v1/jobs/{top}/children", headers=viewer).json
    assert [job["id"] for job in page["jobs"]] == [child]
    nodes = client.get(f"/api/v1/jobs/{top}/tree", headers=viewer).json["jobs"]
    assert [(node["depth"], node["id"]) for node in nodes] == [(0, top), (1, child)]
    job = client.get(f"/api/v1/jobs/{top}", headers=viewer).json
    assert job["children"] == {"total": 1, "finished": 0, "with_errors": 0}
    roots = client.get("/api/v1/jobs", headers=viewer).json["jobs"]
    assert child not in [root["id"] for root in roots]
