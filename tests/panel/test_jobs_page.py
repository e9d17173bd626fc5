"""The list of jobs: columns, filters, pages."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobmonitor.records.store import Ending, Report
from tests.factories import Records
from tests.panel.pages import cells, page_of

COLUMNS = [
    "Job", "Create date", "Waiting", "Start date", "Duration", "Status", "Errors",
    "Low priority", "Run by", "Progress", "Children execution",
]  # fmt: skip
FAILED = Ending(has_errors=True, error="ValueError: no")


def ids(browser: FlaskClient, **query: Any) -> list[str]:
    return page_of(browser.get("/jobs", query_string=query)).ids


def cursor_of(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


# -- what a row says -----------------------------------------------------------------------


def test_the_columns_have_their_words_and_their_order(
    reader: FlaskClient, records: Records
) -> None:
    records.make()
    answer = reader.get("/jobs")
    heads = [head.text for head in page_of(answer).all("th", scope="col")]
    assert heads == COLUMNS
    assert list(cells(answer.text)) == COLUMNS


def test_a_job_that_waits_says_what_is_known_of_it(
    reader: FlaskClient, records: Records
) -> None:
    records.make(label="Export 7", run_by="ann", low_priority=True)
    records.sql("UPDATE job SET created_at = '2024-03-06 12:00+00', waiting_since = NULL")
    assert cells(reader.get("/jobs").text) == {
        "Job": "Export 7 shop.add", "Create date": "2024-03-06 12:00:00 UTC",
        "Waiting": "0.0 s", "Start date": "—", "Duration": "—", "Status": "Pending Queued",
        "Errors": "", "Low priority": "yes", "Run by": "ann", "Progress": "—",
        "Children execution": "—",
    }  # fmt: skip


def test_a_finished_job_with_children_says_how_it_went(
    reader: FlaskClient, records: Records
) -> None:
    root, first, _ = records.make_family(2)
    records.claim(first)
    records.finish(first, FAILED)
    records.advance(root, Report(done=1, total=3, message="one", has_progress=True))
    records.finish(root, FAILED)
    records.sql("UPDATE job SET ran = 185.2, waited = 0.4 WHERE id = %s", root)
    row = cells(reader.get("/jobs").text)
    shown = {
        name: row[name] for name in ("Waiting", "Duration", "Status", "Errors", "Progress")
    }
    assert shown == {
        "Waiting": "0.4 s", "Duration": "3 min 05 s", "Status": "Finished · 1 child left",
        "Errors": "errors", "Progress": "33.3 %",
    }  # fmt: skip
    assert row["Children execution"] == "1/2 1 with errors"


def test_every_status_has_its_words(reader: FlaskClient, records: Records) -> None:
    pending, running = records.make(), records.make_running()
    stopping, stopped = records.make_running(), records.make()
    finished, canceled = records.make_running(), records.make()
    for job_id in (stopping, stopped, canceled):
        records.operate("stop", job_id)
    records.operate("cancel", canceled)
    records.finish(finished)
    wanted = {
        pending: "Pending", running: "In Progress", stopping: "Stopping", stopped: "Stopped",
        finished: "Finished", canceled: "Canceled",
    }  # fmt: skip
    html = reader.get("/jobs").text
    for job_id, word in wanted.items():
        row = html[html.index(f'id="row-{job_id}"') - 4 :]
        assert cells(row)["Status"].startswith(word)


def test_the_errors_of_a_job_lead_to_the_errors_in_its_log(
    reader: FlaskClient, records: Records
) -> None:
    job_id = records.make_running()
    records.finish(job_id, FAILED)
    assert page_of(reader.get("/jobs")).links["errors"] == f"/job/{job_id}?level=ERROR#log"


def test_only_roots_are_listed_newest_first(reader: FlaskClient, records: Records) -> None:
    root, *_ = records.make_family(2)
    newer = records.make()
    assert ids(reader) == [newer, root]


def test_system_jobs_are_shown_on_demand(reader: FlaskClient, records: Records) -> None:
    own, system = records.make(), records.make(system=True)
    hidden = page_of(reader.get("/jobs?q=shop"))
    assert hidden.ids == [own]
    shown = page_of(reader.get(hidden.links["Show system jobs"]))
    assert shown.ids == [system, own]
    assert shown.links["Hide system jobs"] == "/jobs?q=shop"
    assert "system=1" in shown.links["Statistics"]


# -- filters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "pending"}, "plain low"),
        ({"status": ["running", "finished"]}, "failed runs"),
        ({"errors": "yes"}, "failed"), ({"errors": "no"}, "plain low runs"),
        ({"low_priority": "yes"}, "low"), ({"low_priority": "no"}, "failed plain runs"),
        ({"type": "shop.other"}, "plain"), ({"type": "shop"}, ""), ({"run_by": "ann"}, "low"),
        ({"run_by": "an"}, ""), ({"q": "PLA"}, "plain"), ({"q": "shop.o"}, "plain"),
        ({"q": "ann"}, "low"), ({"q": " runs "}, "runs"), ({"q": "%"}, ""), ({"q": "_"}, ""),
        ({"q": "\\"}, ""), ({"q": "\0"}, ""), ({"status": "pending", "q": "low"}, "low"),
        ({"status": "canceled"}, ""),
        # what makes no sense is left out
        ({"status": "sleeping"}, "failed low plain runs"),
        ({"errors": "x"}, "failed low plain runs"),
        ({"nothing": "x", "limit": "0"}, "failed low plain runs"),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_chooses_what_is_listed(
    reader: FlaskClient, records: Records, query: dict[str, Any], found: str
) -> None:
    records.make("plain", type="shop.other", label="Plain one")
    records.make("low", low_priority=True, run_by="ann")
    records.make_running("runs")
    records.make_running("failed")
    records.finish("failed", FAILED)
    assert sorted(ids(reader, **query)) == sorted(found.split())


def test_what_is_filtered_stands_in_the_form_and_can_be_cleared(
    reader: FlaskClient, records: Records
) -> None:
    query = {
        "status": "running", "errors": "yes", "low_priority": "no", "type": "a&b",
        "run_by": '"ann"', "q": "<b>", "system": "1",
    }  # fmt: skip
    page = page_of(reader.get("/jobs", query_string=query))
    values = {
        name: page.all("input", name=name)[0].get("value") for name in ("type", "run_by", "q")
    }
    assert values == {name: query[name] for name in values}
    [checked] = [
        box.get("value")
        for box in page.all("input", name="status")
        if "checked" in box.attributes
    ]
    chosen = [
        option.get("value") for option in page.all("option") if "selected" in option.attributes
    ]
    assert (checked, chosen) == ("running", ["yes", "no"])
    assert page.links["Clear"] == "/jobs?system=1"


def test_types_that_the_app_knows_are_offered(reader: FlaskClient) -> None:
    offered = {option.get("value") for option in page_of(reader.get("/jobs")).all("option")}
    assert {"panel.work", "panel.tidy"} <= offered
    assert "celery.backend_cleanup" not in offered


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense", "\0", "é", "=", "a" * 10_000, "W10=", cursor_of("x"), cursor_of([1, 2]),
        cursor_of(["yesterday", "x"]), cursor_of({"a": 1}), "W1tb" * 900,
    ],
)  # fmt: skip
def test_a_cursor_that_this_list_did_not_make_is_a_sentence(
    reader: FlaskClient, cursor: str
) -> None:
    answer = reader.get("/jobs", query_string={"cursor": cursor})
    assert answer.status_code == 400
    assert "This cursor was not made by this list." in page_of(answer).main


@pytest.mark.parametrize(
    "cursor",
    [
        ["0001-01-01T00:00:00+23:59", "x"], ["9999-12-31T23:59:59-23:59", "x", "newer"],
        ["2024-01-01T00:00:00+00:00:01.5", "x"], ["2024-01-01", "\ud800"], ["2024-01-01", "\0"],
        ["2024-01-01", {"a": []}], ["2024-01-01", "x" * 2_000], ["2024-01-01", "x", "y", "z"],
    ],
    ids=str,
)  # fmt: skip
def test_a_cursor_that_was_changed_is_a_page(reader: FlaskClient, cursor: list[Any]) -> None:
    assert reader.get("/jobs", query_string={"cursor": cursor_of(cursor)}).status_code == 200


@pytest.mark.parametrize(
    "name", ["status", "errors", "low_priority", "type", "run_by", "q", "system"]
)
@pytest.mark.parametrize("value", ["\0", "x" * 10_000, "\ud83d", "%", "'\";--", "<script>"])
def test_a_filter_that_makes_no_sense_is_a_page(
    reader: FlaskClient, name: str, value: str
) -> None:
    answer = reader.get("/jobs", query_string={name: value.encode("utf-8", "surrogatepass")})
    assert answer.status_code == 200
    assert len(answer.text) < 60_000


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "No job has been submitted yet."), ({}, "System jobs are not shown"),
        ({"q": "x"}, "No job matches these filters. Clear the filters"),
        ({"cursor": cursor_of(["2024-01-01", "x"])}, "There are no more jobs here."),
    ],
)  # fmt: skip
def test_an_empty_list_says_why(
    reader: FlaskClient, records: Records, query: dict[str, str], says: str
) -> None:
    assert says in page_of(reader.get("/jobs", query_string=query)).main


# -- pages ---------------------------------------------------------------------------------


def test_pages_lead_through_all_jobs_and_back_while_new_ones_arrive(
    reader: FlaskClient, records: Records
) -> None:
    made = [records.make() for _ in range(120)][::-1]
    pages = [page_of(reader.get("/jobs?q=job"))]
    for _ in range(2):
        records.make()
        pages.append(page_of(reader.get(pages[-1].links["Older"])))
    assert [page.ids for page in pages] == [made[:50], made[50:100], made[100:]]
    assert ["Newer" in page.links for page in pages] == [False, True, True]
    assert "Older" not in pages[-1].links
    back = page_of(reader.get(pages[-1].links["Newer"]))
    assert back.ids == made[50:100]
    newest = page_of(reader.get(back.links["Newer"]))
    assert newest.ids == made[:50]
    assert len(page_of(reader.get(newest.links["Newer"])).ids) == 2
    assert back.links["Newest"] == "/jobs?q=job"
    assert page_of(reader.get(back.links["Newest"])).ids[2:] == made[:48]


def test_fifty_jobs_are_one_page(reader: FlaskClient, records: Records) -> None:
    for _ in range(50):
        records.make()
    page = page_of(reader.get("/jobs"))
    assert (len(page.ids), "Older" in page.links) == (50, False)
