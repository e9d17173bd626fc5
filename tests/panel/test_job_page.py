"""The page of one job: fields, places in its tree, runs, audit, checkpoint, log."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobmonitor.records.logs import Logs, NewLine
from jobmonitor.records.store import Ending, Report
from tests.factories import Records
from tests.panel.pages import Page, page_of

Submit = Callable[..., str]
ODD = [
    "orders/17", "a//b", "/a", "a/", "/", "..", ".", "a/../b", "../jobs", "a?b", "?", "a#b",
    "a%41", "%2e%2e", "a b", " a", "a\\b", "a&b=1;c", "a+b", "é☃🦊", "a\nb", "a'b\"c",
    "<script>alert(1)</script>", "x" * 255, "index", "stop",
]  # fmt: skip


def read(browser: FlaskClient, job_id: str, **query: Any) -> Page:
    answer = browser.get("/job/", query_string={"id": job_id} | query)
    assert answer.status_code == 200
    return page_of(answer)


def fields(page: Page) -> dict[str, str]:
    """What the page says of the job, by the name of each field."""
    names = [name.text for name in page.all("dt")]
    return dict(zip(names, [value.text for value in page.all("dd")], strict=True))


def log(records: Records, job_id: str, *messages: str, level: int = 20) -> None:
    """Let the current attempt of a job log these lines."""
    row, now = records.row(job_id), time.monotonic()
    lines = [NewLine(job_id, row.run, row.attempt, now, level, "shop", m) for m in messages]
    Logs(records.database).append(lines, now)


def messages(page: Page) -> list[str]:
    return [cell.text for cell in page.all("td", class_="message")]


# -- fields --------------------------------------------------------------------------------


def test_all_fields_of_a_job_are_shown(reader: FlaskClient, records: Records) -> None:
    job_id = records.make_running("j1", label="Export 7", run_by="ann", low_priority=True)
    records.advance(job_id, Report(done=1, total=3, message="one of", has_progress=True))
    records.sql(
        "UPDATE job SET waited = 60, retries = 2, lost = 1, "
        "created_at = '2024-03-06 12:00+00', started_at = '2024-03-06 12:01+00'"
    )
    page = read(reader, job_id)
    shown = fields(page)
    assert re.fullmatch(r"\d+\.\d s", shown.pop("Duration"))
    assert shown == {
        "Id": "j1", "Type": "shop.add", "Create date": "2024-03-06 12:00:00 UTC",
        "Waiting": "1 min 00 s", "Start date": "2024-03-06 12:01:00 UTC", "Errors": "no",
        "Low priority": "yes", "Run by": "ann", "Progress": "33.3 % 1 of 3 one of",
        "Children execution": "—", "Queue": "celery", "Run": "1",
        "Attempt": "1", "Worker": "w1, process 7",
        "Stoppable": "yes", "Restartable": "no", "System job": "no",
    }  # fmt: skip
    assert page.all("h1")[0].text == "Export 7"


def test_a_job_that_waits_says_what_it_has_not(reader: FlaskClient, records: Records) -> None:
    page = read(reader, records.make())
    shown = fields(page)
    assert [shown[name] for name in ("Start date", "Duration", "Progress", "Worker")] == [
        "—"
    ] * 4
    assert "It has not started" in page.section("Checkpoint")
    assert "It has not started" in page.section("Children jobs")
    assert page.section("Arguments") == "It was called without arguments."
    assert page.section("Audit").startswith("Nobody has done anything to it")
    assert "It has logged nothing" in page.section("Log")


def test_the_jobs_above_are_links_from_the_root_down(
    reader: FlaskClient, records: Records
) -> None:
    root = records.make_running(label="root")
    first = records.make_running(under=root, label="first")
    second = records.make_running(under=first, label="second")
    third = records.make(under=second, label="third")
    above = {
        job_id: [nav.text.replace("\u203a", "/") for nav in navs]
        for job_id in (root, first, second, third)
        if (navs := read(reader, job_id).all("nav", aria_label="Jobs above this one"))
    }
    assert above == {
        first: ["root /"], second: ["root / first /"], third: ["root / … / second /"]
    }  # fmt: skip
    assert read(reader, third).links["root"] == f"/job/{root}"


def test_children_are_listed_in_pages(reader: FlaskClient, records: Records) -> None:
    root = records.make_running()
    made = [records.make(under=root) for _ in range(60)][::-1]
    first = read(reader, root)
    assert first.ids == made[:50]
    second = page_of(reader.get(first.links["Older"].partition("#")[0]))
    assert second.ids == made[50:]
    assert page_of(reader.get(second.links["Newer"].partition("#")[0])).ids == made[:50]


def test_a_new_child_is_a_change_also_on_a_page_that_it_is_not_on(
    reader: FlaskClient, records: Records
) -> None:
    root = records.make_running()
    for _ in range(60):
        records.make(under=root)
    address = read(reader, root).links["Older"].partition("#")[0]
    newest = page_of(reader.get(address)).links["Newer"].partition("#")[0]
    tag = page_of(reader.get(newest)).one("div", id="job").get("hx-ptag")
    records.make(under=root)
    headers = {"HX-Request": "true", "HX-Target": "div#job", "HX-PTag": tag}
    answer = reader.get(newest, headers=headers)
    assert (answer.status_code, "Newer" in page_of(answer).links) == (200, True)


@pytest.mark.parametrize("part", ["job", "log"])
def test_a_part_that_has_not_changed_is_no_answer(
    reader: FlaskClient, records: Records, part: str
) -> None:
    job_id = records.make_running()
    log(records, job_id, "a line")
    records.advance(job_id, Report(checkpoint="{}"))
    headers = {"HX-Request": "true", "HX-Target": f"div#{part}"}
    first = reader.get(f"/job/{job_id}", headers=headers)
    assert (first.status_code, "<html" in first.text) == (200, False)
    again = headers | {"HX-PTag": first.headers["HX-PTag"]}
    assert reader.get(f"/job/{job_id}", headers=again).status_code == 304
    log(records, job_id, "another line")
    records.operate("stop", job_id)
    assert reader.get(f"/job/{job_id}", headers=again).status_code == 200


# -- what went in and came out -------------------------------------------------------------


def test_secret_arguments_are_hidden(reader: FlaskClient, submit: Submit) -> None:
    job_id = submit("visible", kwargs={"password": "sesame-1", "n": {"api_token": "sesame-2"}})
    page = read(reader, job_id)
    assert "visible" in page.section("Arguments")
    assert page.section("Arguments").count("[redacted]") == 2
    assert "sesame" not in page.main


def test_a_result_is_shown(reader: FlaskClient, records: Records) -> None:
    job_id = records.make_running()
    records.finish(job_id, Ending(has_errors=False, result='{"rows": 3}'))
    assert read(reader, job_id).section("Result") == '{ "rows": 3 }'


def test_an_error_is_shown_with_its_traceback(reader: FlaskClient, records: Records) -> None:
    job_id = records.make_running()
    failed = Ending(has_errors=True, error="ValueError: no", traceback="Traceback\n  here")
    records.finish(job_id, failed)
    page = read(reader, job_id)
    assert page.section("Error") == "ValueError: no Traceback Traceback here"
    assert fields(page)["Errors"] == "yes"


def test_a_checkpoint_is_shown_with_its_age_and_without_secrets(
    reader: FlaskClient, records: Records
) -> None:
    job_id = records.make_running()
    state = {"state": {"page": 7, "password": "sesame", "inner": [{"api_token": "sesame"}]}}
    records.advance(job_id, Report(checkpoint=json.dumps(state)))
    records.sql("UPDATE job SET checkpoint_at = checkpoint_at - interval '125 s'")
    page = read(reader, job_id)
    shown = page.section("Checkpoint")
    assert '"page": 7' in shown
    assert shown.count("[redacted]") == 2
    assert "sesame" not in page.main
    assert "2 min 0" in shown
    assert page.one("pre", aria_label="Checkpoint")


def test_a_long_checkpoint_is_cut(reader: FlaskClient, records: Records) -> None:
    job_id = records.make_running()
    records.advance(job_id, Report(checkpoint=json.dumps({"state": "x" * 100_000})))
    answer = reader.get(f"/job/{job_id}")
    assert "characters cut" in answer.text
    assert len(answer.text) < 60_000


def test_earlier_runs_are_listed(
    reader: FlaskClient, submit: Submit, records: Records, monitor: Any
) -> None:
    job_id = submit()
    records.claim(job_id)
    records.finish(job_id, Ending(has_errors=True, error="ValueError: first"))
    records.told(job_id)
    monitor.jobs.restart(job_id)
    page = read(reader, job_id)
    rows = [row.text for row in page.all("tr") if row.text.startswith(("1 ", "2 "))]
    assert [row.split()[0] for row in rows] == ["2", "1"]
    assert rows[1].endswith("ValueError: first")
    assert fields(page)["Run"] == "2"


def test_the_audit_says_who_did_what_and_why_newest_first(
    reader: FlaskClient, records: Records
) -> None:
    job_id = records.make()
    records.operate("stop", job_id, actor="ann", reason="too early")
    records.operate("resume", job_id, actor="bob")
    first, second = (line.text for line in page_of(reader.get(f"/job/{job_id}")).all("li"))
    assert re.search(r"UTC resume by bob Stopped → Pending$", first)
    assert re.search(r"UTC stop by ann Pending → Stopped: too early$", second)


# -- the log -------------------------------------------------------------------------------


def test_the_log_is_filtered_and_turned(reader: FlaskClient, records: Records) -> None:
    job_id = records.make_running()
    log(records, job_id, "one", "two 100%")
    log(records, job_id, "three", level=40)
    found = {
        name: messages(read(reader, job_id, **query))
        for name, query in {
            "all": {}, "oldest first": {"order": "oldest"}, "level": {"level": "error"},
            "text": {"text": "TWO"}, "percent": {"text": "%"}, "none": {"text": "four"},
            "nonsense": {"level": "LOUD", "order": "x"},
        }.items()
    }  # fmt: skip
    assert found == {
        "all": ["three", "two 100%", "one"], "oldest first": ["one", "two 100%", "three"],
        "level": ["three"], "text": ["two 100%"], "percent": ["two 100%"], "none": [],
        "nonsense": ["three", "two 100%", "one"],
    }  # fmt: skip
    page = read(reader, job_id, text="four", level="error")
    assert "No line of its log matches these filters." in page.section("Log")
    assert page.links["Clear"] == f"/job/{job_id}#log"


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_long_log_comes_in_pages(reader: FlaskClient, records: Records, order: str) -> None:
    job_id = records.make_running()
    said = [f"line {number}" for number in range(450)]
    log(records, job_id, *said)
    wanted = said if order == "oldest" else said[::-1]
    more = "Newer lines" if order == "oldest" else "Older lines"
    pages = [read(reader, job_id, order=order)]
    while more in pages[-1].links:
        pages.append(page_of(reader.get(pages[-1].links[more].partition("#")[0])))
    assert [line for page in pages for line in messages(page)] == wanted
    assert [len(messages(page)) for page in pages] == [200, 200, 50]
    assert (
        messages(page_of(reader.get(pages[2].links["To the begin"].partition("#")[0])))[0]
        == (wanted[0])
    )


@pytest.mark.parametrize("name", ["lines", "children"])
@pytest.mark.parametrize("value", ["x", "\0", "-1", "9" * 5_000, "٣", "W1tb" * 900])
def test_a_cursor_that_makes_no_sense_is_a_sentence(
    reader: FlaskClient, records: Records, name: str, value: str
) -> None:
    answer = reader.get(f"/job/{records.make()}", query_string={name: value})
    assert answer.status_code == 400
    assert "This cursor was not made by this list." in page_of(answer).main


# -- ids -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("odd", ODD)
def test_a_job_with_an_odd_id_is_found_by_every_address_of_it(
    steerer: FlaskClient, submit: Submit, odd: str
) -> None:
    submit(task_id=odd)
    address = page_of(steerer.get("/jobs?type=panel.work")).links["panel.work"]
    path = address.partition("?")[0]
    assert not re.search(r"//|/\.{1,2}(/|$)", path)  # what browsers and proxies take away
    page = page_of(steerer.get(address))
    assert fields(page)["Id"] == " ".join(odd.split())
    assert page.all("input", name="id")[0].get("value") == odd
    for element in page.elements:
        if "hx-get" in element.attributes:
            headers = {"HX-Request": "true", "HX-Target": f"div#{element.get('id')}"}
            assert steerer.get(element.get("hx-get"), headers=headers).status_code == 200
    form = {"csrf_token": page.token, "id": odd}
    assert "stopped" in page_of(steerer.post("/jobs/stop", data=form)).main


def test_the_filters_of_a_log_keep_an_id_that_no_path_holds(
    reader: FlaskClient, records: Records
) -> None:
    page = read(reader, records.make_running(".."))
    [kept] = [e for e in page.all("input", type="hidden") if e.get("name") == "id"][1:]
    assert kept.get("value") == ".."
    [text] = page.all("input", name="text")
    assert messages(read(reader, "..", **{text.get("name"): "x"})) == []


@pytest.mark.usefixtures("records")
@pytest.mark.parametrize("odd", ["none", "\0", "x" * 10_000, "..", "", "é", "<b>"])
def test_an_unknown_job_is_a_sentence(reader: FlaskClient, odd: str) -> None:
    answer = reader.get("/job/", query_string={"id": odd})
    assert answer.status_code == 404
    page = page_of(answer)
    assert "There is no job with the id" in page.main
    assert page.links["Back to the jobs"] == "/jobs"


def test_a_full_page_of_a_log_says_that_there_is_more(
    reader: FlaskClient, records: Records
) -> None:
    job_id = records.make_running()
    log(records, job_id, *(f"line {number}" for number in range(200)))
    headers = {"HX-Request": "true", "HX-Target": "div#log"}
    address = f"/job/{job_id}?order=oldest"
    before = reader.get(address, headers=headers)
    log(records, job_id, "one more")
    after = reader.get(address, headers=headers | {"HX-PTag": before.headers["HX-PTag"]})
    assert ("Newer lines" in before.text, after.status_code) == (False, 200)
    assert "Newer lines" in after.text
