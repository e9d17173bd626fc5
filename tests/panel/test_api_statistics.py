"""`GET /api/v1/statistics`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobmonitor import JobMonitor
from tests.factories import Records

Headers = dict[str, str]
NOON = datetime(2024, 3, 6, 12, tzinfo=UTC)
HOUR = {"since": "2024-03-06T12:00:00Z", "until": "2024-03-06T14:00:00+01:00"}


@pytest.fixture(scope="module")
def an_hour_of_jobs(database_url: str, monitor: JobMonitor) -> Iterator[None]:
    """Two jobs, a child of one and a system job, created at noon, started after 10 min."""
    records = Records(database_url)
    facts: dict[str, Any] = {"starts": NOON + timedelta(minutes=10), "wait": 600.0}
    top = records.make_at(NOON, **facts)
    records.make_at(NOON, type="shop.other", **facts)
    records.make_at(NOON, under=top)
    records.make_at(NOON, system=True, **facts)
    yield
    records.database.close()


def asked(client: FlaskClient, headers: Headers, **query: Any) -> Any:
    """The answer to a query, about the hour from noon on."""
    address = "/api/v1/statistics"
    return client.get(address, query_string=HOUR | query, headers=headers).json


@pytest.mark.usefixtures("an_hour_of_jobs")
def test_it_says_what_the_rows_say(client: FlaskClient, viewer: Headers) -> None:
    answer = asked(client, viewer, bucket=300)
    total = {
        "creations": 3, "starts": 2, "average_waiting_seconds": 600,
        "minimum_waiting_seconds": 600, "maximum_waiting_seconds": 600,
    }  # fmt: skip
    assert (answer["total"], answer["bucket_seconds"], len(answer["buckets"])) == (
        total, 300, 12,
    )  # fmt: skip
    assert [
        (bucket["start"][11:16], bucket["creations"], bucket["starts"])
        for bucket in answer["buckets"]
        if bucket["creations"] or bucket["starts"]
    ] == [("12:00", 3, 0), ("12:10", 0, 2)]


@pytest.mark.usefixtures("an_hour_of_jobs")
@pytest.mark.parametrize(
    ("query", "creations"),
    [
        ({"system": "all"}, 4),
        ({"system": "true"}, 1),
        ({"type": "shop.other"}, 1),
        ({"type": ["shop.other", "shop.add"]}, 3),
        ({"type": "none"}, 0),
        ({"since": "2024-03-06T12:01:00Z"}, 0),
    ],
)
def test_filters_choose_what_is_counted(
    client: FlaskClient, viewer: Headers, query: dict[str, Any], creations: int
) -> None:
    assert asked(client, viewer, **query)["total"]["creations"] == creations


@pytest.mark.parametrize(
    ("query", "code", "says"),
    [
        ({"since": HOUR["until"]}, 400, "since must be before until"),
        ({"until": "2999-01-01T00:00:00Z"}, 400, "until is in the future"),
        ({"since": "0001-01-01T00:00:00+14:00"}, 400, "since is before 2001"),
        ({"since": "2024-01-01T00:00:00Z", "bucket": 60}, 400, "at most 500"),
        ({"since": "2024-03-06T12:00:00"}, 422, "since"),
        ({"since": "24h"}, 422, "since"),
        ({"bucket": 61}, 422, "bucket"),
        ({"bucket": "many"}, 422, "bucket"),
        ({"system": "1"}, 422, "system"),
        ({"type": "x" * 501}, 422, "type"),
        ({"type": ["x"] * 51}, 422, "type"),
        ({"nothing": "1"}, 422, "nothing"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_so(
    client: FlaskClient, viewer: Headers, query: dict[str, Any], code: int, says: str
) -> None:
    answer = asked(client, viewer, **query)
    assert answer["code"] == code
    assert says in answer["message"]
