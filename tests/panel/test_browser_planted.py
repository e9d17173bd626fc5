"""Scripts that somebody planted in what jobs say: a page shows them as text and runs none."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page, expect

from jobmonitor.records.logs import Logs, NewLine
from tests.browser import OpenPage, field_of, outcome_of, pick, press, row_of
from tests.factories import Ending, Records, Report

PLANTED = (
    """'"><img src=x onerror=alert(1)><script>alert(2)</script>"""
    """<i hx-get="/jobs" hx-trigger="load" onclick='alert(3)'>{{ 7*7 }}</i>"""
)


@pytest.fixture
def dialogs() -> list[str]:
    """What planted scripts said; none may."""
    return []


@pytest.fixture
def look(open_page: OpenPage, dialogs: list[str]) -> Any:
    """Open a page where a planted script would be heard."""

    def look(path: str, role: str | None = "operator") -> Page:
        def hear(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            dialog.dismiss()

        page = open_page(path, role)
        page.on("dialog", hear)
        page.reload()
        return page

    return look


def is_harmless(page: Page) -> bool:
    """Say whether nothing that was planted has become a part of the page."""
    foreign = page.locator(
        "img, i, script:not([src^='/static/']):not([type='application/json'])"
    )
    return foreign.count() == 0


@pytest.fixture
def victim(records: Records) -> str:
    """A finished job with children and a log, all of whose texts are planted."""
    facts: dict[str, Any] = {"label": PLANTED, "type": PLANTED, "run_by": PLANTED[:90]}
    arguments = {"args": json.dumps([PLANTED]), "kwargs": json.dumps({PLANTED: PLANTED})}
    job = records.make_running(PLANTED[:60], queue=PLANTED, **facts, **arguments)
    records.finish(records.make_running(under=job, **facts), Ending(True, PLANTED, PLANTED))
    checkpoint = json.dumps({PLANTED: PLANTED})
    progress = Report(1, 2, PLANTED, has_progress=True, checkpoint=checkpoint)
    records.advance(job, progress)
    records.operate("set-low-priority", job, actor=PLANTED, reason=PLANTED)
    line = NewLine(job, 1, 1, 0.0, 40, PLANTED, PLANTED)
    Logs(records.database).append([line], 0.0)
    records.finish(job, Ending(True, error=PLANTED, traceback=PLANTED))
    return job


def test_the_list_shows_planted_scripts_as_text(
    victim: str, look: Any, records: Records, dialogs: list[str]
) -> None:
    page = look("/jobs")
    expect(page.locator("td.job").get_by_role("link", name=PLANTED)).to_be_visible()
    new = records.make(label=PLANTED)
    expect(row_of(page, new)).to_be_visible()  # by a swap
    assert is_harmless(page)
    assert dialogs == []


def test_the_page_of_a_job_shows_planted_scripts_as_text(
    victim: str, look: Any, dialogs: list[str]
) -> None:
    page = look("/jobs")
    page.locator("td.job").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(PLANTED)
    expect(field_of(page, "Id")).to_have_text(victim)
    page.get_by_text("Traceback", exact=True).click()
    for place in ("#log .message", "[aria-labelledby=error] p", ".audit", ".fields"):
        expect(page.locator(place).first).to_contain_text(PLANTED)
    for name in ("Positional arguments", "Keyword arguments", "Checkpoint", "Traceback"):
        expect(page.locator(f"pre[aria-label='{name}']")).to_contain_text("onerror=alert(1)")
    assert is_harmless(page)
    assert dialogs == []


def test_a_result_shows_planted_scripts_as_text(
    records: Records, look: Any, dialogs: list[str]
) -> None:
    job = records.make_running()
    records.finish(job, Ending(has_errors=False, result=json.dumps({"said": PLANTED})))
    page = look(f"/job/{job}")
    expect(page.locator("pre[aria-label=Result]")).to_contain_text("onerror=alert(1)")
    assert is_harmless(page)
    assert dialogs == []


def test_outcomes_show_planted_scripts_as_text(
    records: Records, look: Any, dialogs: list[str]
) -> None:
    job = records.make(label=PLANTED)
    page = look("/jobs")
    page.get_by_label("Reason").fill(PLANTED)
    pick(page, job)
    press(page, "Stop")
    expect(outcome_of(page, job)).to_have_text(f"{PLANTED}: stopped")
    page.goto(f"/job/{job}")
    expect(page.locator(".audit")).to_contain_text(PLANTED)
    assert is_harmless(page)
    assert dialogs == []


@pytest.mark.parametrize(
    "path", ["/jobs?q={}", "/jobs?type={}", "/jobs?cursor={}", "/job/{}", "/statistics?type={}",
             "/statistics?since={}", "/statistics?range={}", "/login?next={}", "/{}"],
)  # fmt: skip
def test_an_address_plants_nothing(
    records: Records, look: Any, dialogs: list[str], complaints: Any, path: str
) -> None:
    complaints.expect("status of 40[04]")
    page = look(path.format(quote(PLANTED)), role=None if "login" in path else "operator")
    expect(page.get_by_role("link", name="jobmonitor")).to_be_visible()
    assert is_harmless(page)
    assert dialogs == []


@pytest.mark.parametrize(
    "job_id", ["a/b?c=d#e", "../../login", "with  blanks", "quotes\"'", "%2e"]
)
def test_any_id_has_a_page_that_can_be_steered(
    records: Records, open_page: OpenPage, job_id: str
) -> None:
    records.make(job_id)
    page = open_page()
    page.locator("td.job").get_by_role("link").click()
    expect(field_of(page, "Id")).to_have_text(job_id)
    press(page, "Stop")
    expect(page.locator(".status .badge")).to_have_text("Stopped")
