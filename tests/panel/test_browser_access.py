"""Every page of the panel for everybody: axe finds nothing, in light and dark, on a wide and a
narrow screen; nothing is wider than the screen; the keyboard is enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from jobmonitor.records.logs import Logs, NewLine
from tests.browser import NARROW, WIDE, OpenPage, cell_of, outcome_of, pick, press, row_of
from tests.factories import RAISED, Ending, Records, Report

LONG = "shop.tasks." + "a_name_without_any_place_to_break_" * 6
PAGES = ("login", "list", "empty", "outcomes", "job", "failed", "statistics", "nothing")


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[Any]:
    """A job in each status, with all that can be seen of one."""
    records = Records(database_url)
    done, failed = records.make_running(low_priority=True), records.make_running(run_by="bob")
    stopping, stopped, canceled = (records.make_running() for _ in range(3))
    for job in (stopping, stopped, canceled):
        records.advance(job, Report(done=3, total=7, message="up to 3", has_progress=True))
        records.operate("stop", job, reason="a reason " * 20, actor="an-operator")
    for job in (stopped, canceled):
        records.halt(job, Report(checkpoint='{"cursor": 3}'))
    records.operate("cancel", canceled)
    facts = {"label": LONG, "type": LONG, "run_by": LONG[:90], "restartable": True}
    large = records.make_running(args=json.dumps([LONG]), kwargs='{"b": [1, 2]}', **facts)
    for _ in range(2):
        records.finish(records.make_running(under=large), RAISED)
    records.make(under=large, type=LONG)
    records.advance(large, Report(done=2, total=3, message=LONG, has_progress=True))
    records.finish(done, Ending(has_errors=False, result='{"airports": 28000}'))
    traceback = f"Traceback (most recent call last):\n  {LONG}\nValueError: no"
    records.finish(failed, Ending(has_errors=True, error=LONG, traceback=traceback))
    records.make(system=True)
    records.make()
    for level in (10, 20, 30, 40, 50):
        log(records, large, level, f"{LONG} {level}")
    yield SimpleNamespace(records=records, large=large, failed=failed)
    records.database.close()


def log(records: Records, job_id: str, level: int, message: str) -> None:
    Logs(records.database).append([NewLine(job_id, 1, 1, 0.0, level, "shop", message)], 0.0)


def show(name: str, world: Any, open_page: OpenPage) -> Page:
    """Open a page by the name that these tests give it."""
    path = {
        "login": "/login", "empty": "/jobs?q=nobody+has+this", "job": f"/job/{world.large}",
        "failed": f"/job/{world.failed}", "statistics": "/statistics",
        "nothing": "/statistics?type=nobody",
    }.get(name, "/jobs?system=1")  # fmt: skip
    page = open_page(path, role=None if name == "login" else "operator")
    if name == "list":
        page.get_by_label("Select all on this page").check()
    if name == "outcomes":
        job = world.records.make()
        page.goto("/jobs")
        pick(page, world.failed, job)
        press(page, "Stop")
    return page


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_light_and_dark_wide_and_narrow(
    world: Any, open_page: OpenPage, name: str
) -> None:
    page = show(name, world, open_page)
    for viewport, scheme in product((WIDE, NARROW), ("light", "dark")):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        assert violations(page) == [], (viewport, scheme)


def violations(page: Page) -> list[str]:
    """What axe finds, a line for each place."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_narrow_screen(
    world: Any, open_page: OpenPage, name: str
) -> None:
    page = show(name, world, open_page)
    for width in (390, 768, 1400):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, width


# -- keyboard --------------------------------------------------------------------------------


def walk(page: Page, place: Locator, key: str = "Tab") -> None:
    """Press a key until the focus is there, and see that it is shown."""
    for _ in range(80):
        if place.evaluate("element => element === document.activeElement"):
            assert place.evaluate("element => element.matches(':focus-visible')")
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not come to {place}")


def button(page: Page, word: str) -> Locator:
    return page.get_by_role("toolbar").get_by_role("button", name=word, exact=True)


def test_the_keyboard_selects_jobs_and_stops_them(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    page = open_page()
    walk(page, row_of(page, job).get_by_role("checkbox"))
    page.keyboard.press("Space")
    walk(page, button(page, "Stop"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(outcome_of(page, job)).to_contain_text("stopped")
    expect(cell_of(page, job, "Status")).to_have_text("Stopped")
    walk(page, row_of(page, job).get_by_role("link"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{page.url.partition('/job')[0]}/job/{job}")


def test_the_keyboard_reaches_the_content_at_once(
    records: Records, open_page: OpenPage
) -> None:
    records.make()
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("place", ["Reason", "Select"])
def test_enter_beside_the_buttons_carries_out_nothing(
    records: Records, open_page: OpenPage, place: str
) -> None:
    job = records.make()
    page = open_page()
    pick(page, job)
    page.locator("#selection").get_by_label(place).last.press("Enter")
    expect(page).to_have_url(f"{page.url.partition('/jobs')[0]}/jobs")
    with page.expect_response(lambda answer: answer.status == 304):
        pass
    assert records.status(job) == "pending"
    expect(page.locator("#outcomes")).to_be_empty()


def test_the_focus_stays_while_the_list_changes(records: Records, open_page: OpenPage) -> None:
    job = records.make()
    page = open_page()
    box = row_of(page, job).get_by_role("checkbox")
    box.focus()
    new = records.make()
    expect(row_of(page, new)).to_be_visible()
    expect(box).to_be_focused()
