"""`GET /api/v1/jobs/{id}/logs`: lines of a log, filtered, in both orders, in pages."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobmonitor import JobMonitor
from jobmonitor.records.logs import Logs, NewLine

Headers = dict[str, str]
Read = Callable[..., Any]
LEVELS = (10, 20, 30, 40)


@pytest.fixture
def job_id(monitor: JobMonitor, submit: Callable[..., str]) -> str:
    """A job with a line of each of four levels."""
    job_id, now = submit(), time.monotonic()
    lines = [NewLine(job_id, 1, 0, now, level, "shop", f"Line {level}") for level in LEVELS]
    Logs(monitor.database).append(lines, now)
    return job_id


@pytest.fixture
def read(client: FlaskClient, viewer: Headers, job_id: str) -> Read:
    def read(code: int = 200, **query: Any) -> Any:
        address = f"/api/v1/jobs/{job_id}/logs"
        answer = client.get(address, query_string=query, headers=viewer)
        assert answer.status_code == code, answer.json
        return answer.json

    return read


def test_lines_come_newest_first_with_all_that_is_known_of_them(
    read: Read, monitor: JobMonitor, job_id: str
) -> None:
    found = read()
    assert [line["level"] for line in found["lines"]] == [40, 30, 20, 10]
    assert found["cursor"] is None
    newest = found["lines"][0]
    assert newest.pop("at").endswith("+00:00")
    assert newest == {
        "id": monitor.jobs.last_line_id(job_id), "run": 1, "attempt": 0, "level": 40,
        "level_name": "ERROR", "logger": "shop", "message": "Line 40",
    }  # fmt: skip


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_follow_each_other_without_a_gap(read: Read, order: str) -> None:
    first = read(order=order, limit=3)
    second = read(order=order, limit=3, cursor=first["cursor"])
    levels = [line["level"] for line in first["lines"] + second["lines"]]
    assert levels == (list(LEVELS) if order == "oldest" else list(reversed(LEVELS)))
    assert second["cursor"] is None


def test_lines_are_found_by_level_and_text(read: Read) -> None:
    assert [line["level"] for line in read(level="warning")["lines"]] == [40, 30]
    assert [line["level"] for line in read(level="21")["lines"]] == [40, 30]
    assert [line["level"] for line in read(q="LINE 2")["lines"]] == [20]
    assert read(q="%")["lines"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [({"level": "loud"}, 400), ({"cursor": "x"}, 400), ({"limit": 1001}, 422),
     ({"order": "up"}, 422)],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(read: Read, query: dict[str, Any], code: int) -> None:
    assert read(code, **query)["message"]


def test_a_job_that_is_not_there_has_no_log(client: FlaskClient, viewer: Headers) -> None:
    assert client.get("/api/v1/jobs/nobody/logs", headers=viewer).status_code == 404
