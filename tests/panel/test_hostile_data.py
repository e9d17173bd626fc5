"""Whatever a job, a log line or an address holds is text: it makes no element, no attribute."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobmonitor.records.logs import Logs, NewLine
from jobmonitor.records.store import Ending, Report
from tests.factories import Records
from tests.panel.pages import Page, page_of

PLAIN = "nothing special"
HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' hx-get='/logout' x='",
    '"><img src=x onerror=alert(1)>',
    "</pre></td></table><b>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;&#34;",
    "<!-- --><![CDATA[",
    "javascript:alert(1)",
    "` onload=`",
]


def fill(records: Records, text: str) -> dict[str, str]:
    """Jobs whose every field that can hold a text holds this one; their ids."""
    value = json.dumps({text: [text, {"x": text}]})
    facts = {"type": text, "label": text, "run_by": text, "queue": text}
    facts |= {"args": json.dumps([text]), "kwargs": value}
    top = records.make(f"top {text}", **facts)
    child = records.make_running(f"child {text}", under=top, **facts)
    leaf = records.make(f"leaf {text}", under=child, **facts)
    report = Report(done=1, total=3, message=text, has_progress=True, checkpoint=value)
    records.advance(child, report)
    row = records.row(child)
    now = time.monotonic()
    line = NewLine(child, row.run, row.attempt, now, 40, text, text)
    Logs(records.database).append([line], now)
    records.operate("stop", child, actor=text, reason=text)
    records.finish(child, Ending(has_errors=True, error=text, traceback=text, result=value))
    records.sql("UPDATE job SET worker = %s WHERE id = %s", text, child)
    columns = "job_id, run, attempts, retries, lost, has_errors, error, waited, ran"
    values = "%s, 0, 1, 0, 0, true, %s, 1, 1"
    records.sql(f"INSERT INTO job_run ({columns}) VALUES ({values})", child, text)
    made = records.make_running(f"done {text}", **facts)
    records.advance(made, report)
    records.finish(made, Ending(has_errors=False, result=value))
    return {"top": top, "child": child, "leaf": leaf, "done": made}


def visit(browser: FlaskClient, records: Records, text: str) -> dict[str, TestResponse]:
    """Every page on which this text can appear."""
    records.clear()
    jobs = fill(records, text)
    pages = {name: browser.get("/job/", query_string={"id": it}) for name, it in jobs.items()}
    fields = {"type": text, "run_by": text, "q": text, "status": text, "cursor": ""}
    pages["list"] = browser.get("/jobs")
    pages["filtered"] = browser.get("/jobs", query_string=fields)
    log = {"id": jobs["child"], "text": text, "level": text, "order": text}
    pages["log"] = browser.get("/job/", query_string=log)
    pages["statistics"] = browser.get("/statistics", query_string={"type": text})
    pages["range"] = browser.get("/statistics", query_string={"since": text, "until": text})
    pages["unknown job"] = browser.get("/job/", query_string={"id": f"no {text}"})
    pages["cursor"] = browser.get("/jobs", query_string={"cursor": text})
    form = {"csrf_token": page_of(pages["list"]).token, "id": [*jobs.values(), f"no {text}"]}
    pages["outcomes"] = browser.post("/jobs/resume", data=form | {"reason": text})
    pages["login"] = browser.application.test_client().get(
        "/login", query_string={"next": f"/{text}"}
    )
    return pages


def structure(html: str) -> list[Any]:
    """The elements and the names of their attributes; what data makes would be among them."""
    return [(e.tag, sorted(e.attributes)) for e in Page(html).elements]


@pytest.fixture
def expected(steerer: FlaskClient, records: Records) -> dict[str, list[Any]]:
    """What the pages are made of where every text is harmless."""
    return {name: structure(a.text) for name, a in visit(steerer, records, PLAIN).items()}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_element_and_no_attribute_comes_from_data(
    steerer: FlaskClient, records: Records, expected: dict[str, list[Any]], text: str
) -> None:
    for name, answer in visit(steerer, records, text).items():
        assert structure(answer.text) == expected[name], name
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text


@pytest.mark.parametrize("text", HOSTILE)
def test_data_is_shown_as_it_is(steerer: FlaskClient, records: Records, text: str) -> None:
    pages = {name: page_of(one) for name, one in visit(steerer, records, text).items()}
    for name in ("top", "child", "leaf", "done", "list", "outcomes", "log", "unknown job"):
        assert " ".join(text.split()) in pages[name].main, name
    assert pages["filtered"].one("input", name="q").get("value") == text
    assert pages["log"].one("input", name="text").get("value") == text


@pytest.mark.parametrize("text", HOSTILE)
def test_no_address_of_a_page_leads_elsewhere(
    steerer: FlaskClient, records: Records, text: str
) -> None:
    for answer in visit(steerer, records, text).values():
        for element in page_of(answer).elements:
            for name in ("href", "src", "action", "formaction", "hx-get", "hx-post"):
                address = element.attributes.get(name, "/")
                assert address.startswith(("/", "#"))
                assert not address.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "text", ["\u202eexe.txt", "a\x1b[31mred", "\x00", "a\r\nb", "\u2028", "\ufeff", "🦊" * 50]
)
def test_odd_characters_are_shown_without_a_failure(
    steerer: FlaskClient, records: Records, text: str
) -> None:
    if "\0" in text:
        text = json.loads('"\\ud800"')
        job_id = records.make(args=json.dumps([text, "\0"]), kwargs=json.dumps({text: text}))
        assert steerer.get(f"/job/{job_id}").status_code == 200
        return
    assert {a.status_code for a in visit(steerer, records, text).values()} == {200, 400, 404}


@pytest.mark.parametrize("nested", [50, 300])
def test_nested_arguments_are_shown(
    reader: FlaskClient, submit: Callable[..., str], nested: int
) -> None:
    value: Any = "inside"
    for _ in range(nested):
        value = [value]
    job_id = submit(value)
    assert job_id in page_of(reader.get("/jobs")).ids
    assert "inside" in page_of(reader.get(f"/job/{job_id}")).section("Arguments")
