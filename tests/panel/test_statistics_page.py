"""The page `/statistics`: figures, table and what the chart draws."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient

from flask_panel.shown import moment, seconds
from jobmonitor import JobMonitor
from tests.factories import Records

PAGE = "/statistics"
NOON = datetime(2024, 3, 6, 12, tzinfo=UTC)
HOUR = {"since": "2024-03-06T12:00", "until": "2024-03-06T13:00"}


@pytest.fixture(scope="module")
def an_hour_of_jobs(database_url: str, monitor: JobMonitor) -> Iterator[None]:
    """Two jobs and a system job, created at noon, of which two start at ten past."""
    records = Records(database_url)
    later = NOON + timedelta(minutes=10)
    records.make_at(NOON, starts=later, wait=0.4)
    records.make_at(NOON, starts=later, wait=185.2, type="</script><b>")
    records.make_at(NOON, system=True)
    yield
    records.database.close()


def text_of(html: str) -> str:
    """What a person reads, with single blanks."""
    html = re.sub(r"</?time[^>]*>", "", html)
    plain = re.sub(r"<(script|datalist).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(plain).split())


def read(reader: FlaskClient, **query: Any) -> str:
    """What a person reads on the page."""
    return text_of(reader.get(PAGE, query_string=query).text)


def data_of(html: str) -> Any:
    """The numbers that the chart draws."""
    found = re.search(r'id="statistics-data">(.*?)</script>', html)
    assert found
    return json.loads(found[1])


def links(html: str) -> list[str]:
    """The addresses of this page that it links to."""
    found = re.findall(r'href="(/statistics[^"]*)"', html)
    return [unescape(address) for address in found]


@pytest.mark.usefixtures("an_hour_of_jobs")
def test_figures_table_and_chart_say_what_the_rows_say(reader: FlaskClient) -> None:
    html = reader.get(PAGE, query_string=HOUR).text
    shown = text_of(html)
    for figure in (
        "Number of creations 2", "Average waiting time 1 min 33 s", "Min waiting time 0.4 s",
        "Max waiting time 3 min 05 s",
    ):  # fmt: skip
        assert figure in shown
    assert "2024-03-06 12:10:00 UTC 0 1 min 33 s 0.4 s 3 min 05 s" in shown
    assert "2024-03-06 12:00:00 UTC 2 — — —" in shown
    data = data_of(html)
    assert (data["width"], len(data["start"])) == (60, 60)
    assert (data["start"][10], data["creations"][0]) == (int(NOON.timestamp()) + 600, 2)
    drawn = [data[name][10] for name in ("creations", "average", "minimum", "maximum")]
    assert drawn == [0, 92.8, 0.4, 185.2]
    assert data["average"][0] is None


@pytest.mark.usefixtures("an_hour_of_jobs")
def test_nothing_in_the_page_needs_more_than_the_strict_policy_allows(
    reader: FlaskClient,
) -> None:
    html = reader.get(PAGE, query_string=HOUR | {"type": "</script><b>"}).text
    assert not re.search(r"<[^>]+\s(style|on\w+)=", html)
    assert "<style" not in html
    inline = [tag for tag in re.findall(r"<script[^>]*>", html) if "src=" not in tag]
    assert inline == ['<script type="application/json" id="statistics-data">']
    assert "<b>" not in html


@pytest.mark.usefixtures("an_hour_of_jobs")
def test_filters_choose_what_is_shown(reader: FlaskClient) -> None:
    counts = {
        words: re.search(r"Number of creations ([\d,]+)", read(reader, **HOUR, **query))
        for words, query in {
            "plain": {},
            "with system jobs": {"system": "1"},
            "a type": {"type": "shop.add"},
            "types": {"type": ["shop.add", " ", "none"]},
        }.items()
    }
    found = [match[1] for match in counts.values() if match]
    assert found == ["2", "3", "1", "1"]


def test_the_address_keeps_what_was_chosen(reader: FlaskClient) -> None:
    query = {"range": "7d", "type": ["shop.add", "a&b"], "system": "1"}
    html = reader.get(PAGE, query_string=query).text
    assert f"{PAGE}?range=30d&type=shop.add&type=a%26b&system=1" in links(html)
    assert f"{PAGE}?range=7d&type=a%26b&system=1" in links(html)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', html)
    assert [field for field in hidden if field[0] != "csrf_token"] == [
        ("range", "7d"), ("system", "1"), ("type", "shop.add"), ("type", "a&amp;b")
    ]  # fmt: skip
    assert 'aria-current="true"' in html


def test_given_moments_stand_in_the_form_and_no_range_is_chosen(reader: FlaskClient) -> None:
    html = reader.get(PAGE, query_string={"since": "2024-03-06T13:00:00+01:00"} | {
        "until": "2024-03-06T13:00", "range": "7d",
    }).text  # fmt: skip
    for name, value in (("since", "2024-03-06T12:00"), ("until", "2024-03-06T13:00")):
        assert re.search(rf'name="{name}"[^>]*\s+value="{value}"', html)
    assert 'aria-current="true"' not in html
    assert 'name="range"' not in html


def test_types_that_the_app_knows_are_offered(reader: FlaskClient) -> None:
    html = reader.get(PAGE).text
    offered = re.findall(r'<option value="([^"]+)">', html)
    assert {"panel.work", "panel.tidy", "celery.map"} <= set(offered)
    assert "celery.backend_cleanup" not in offered


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"range": "1h"}, "No job was created or started in this hour; system jobs are not"),
        ({}, "No job was created or started in these 24 hours; system jobs are not counted."),
        ({"type": "x"}, "No job of this type was created or started in these 24 hours;"),
        ({"type": ["x", "y"], "system": "1"}, "of these types was created or started in these"),
        (
            {"since": "2023-01-01T00:00", "until": "2023-01-02T00:00"},
            "between 2023-01-01 00:00:00 UTC and 2023-01-02 00:00:00 UTC; system jobs",
        ),
    ],
)
def test_an_empty_range_says_why_it_is_empty(
    reader: FlaskClient, query: dict[str, Any], says: str
) -> None:
    shown = read(reader, **query)
    assert says in shown
    assert ("Show system jobs" in shown.partition("No job")[2]) is ("system" not in query)
    assert "Number of creations" not in shown


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"since": "yesterday"}, "“from” is no moment like 2026-01-31T12:00: 'yesterday'."),
        ({"until": "2024-99-99"}, "“to” is no moment"),
        ({"until": "0001-01-01T00:00"}, "Until is before 2001"),
        ({"since": "0001-01-01T00:00:00+23:59"}, "Since is before 2001"),
        (HOUR | {"until": HOUR["since"]}, "Since must be before until"),
        ({"since": "2999-01-01T00:00", "until": "2999-01-02T00:00"}, "is in the future"),
    ],
)
def test_a_range_that_makes_no_sense_is_told_so_above_the_form(
    reader: FlaskClient, query: dict[str, Any], says: str
) -> None:
    answer = reader.get(PAGE, query_string=query)
    assert (answer.status_code, says in text_of(answer.text)) == (400, True)
    assert "<form" in answer.text


def test_who_is_not_logged_in_sees_nothing(client: FlaskClient) -> None:
    answer = client.get(PAGE)
    assert (answer.status_code, "/login" in answer.headers["Location"]) == (302, True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0, "0.0 s"), (0.4, "0.4 s"), (12.34, "12.3 s"), (59.94, "59.9 s"),
        (59.96, "1 min 00 s"), (185.2, "3 min 05 s"), (3_599.6, "1 h 00 min"),
        (7_629, "2 h 07 min"), (86_399, "1 d 00 h"), (273_600, "3 d 04 h"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_its_two_largest_units(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_a_moment_is_shown_in_utc_and_marked_for_a_script() -> None:
    there = datetime.fromisoformat("2024-03-06T17:45:00+05:45")
    assert moment(there) == (
        '<time datetime="2024-03-06T12:00:00+00:00" title="2024-03-06 12:00:00 UTC">'
        "2024-03-06 12:00:00 UTC</time>"
    )
    assert moment(None) == "—"
