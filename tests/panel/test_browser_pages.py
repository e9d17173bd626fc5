"""The page of a job, the statistics and the frame around all pages, each link and button."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from jobmonitor.records.logs import Logs, NewLine
from tests.browser import Complaints, OpenPage, press, row_of, status_of
from tests.factories import Records


def link(page: Page, menu: str, name: str) -> Locator:
    return page.get_by_role("navigation", name=menu, exact=True).get_by_role("link", name=name)


# -- a job -----------------------------------------------------------------------------------


@pytest.fixture
def logged(records: Records) -> Callable[..., str]:
    """Make a running job with so many lines in its log."""

    def logged(lines: int) -> str:
        job = records.make_running()
        new = [NewLine(job, 1, 1, 0.0, 20, "shop", f"line {n}.") for n in range(lines)]
        Logs(records.database).append(new, 0.0)
        return job

    return logged


def test_the_log_grows_without_a_reload_and_keeps_its_filter(
    logged: Callable[..., str], records: Records, open_page: OpenPage
) -> None:
    job = logged(1)
    page = open_page(f"/job/{job}?level=ERROR")
    expect(page.get_by_text("No line of its log matches these filters.")).to_be_visible()
    lines = [NewLine(job, 1, 1, 0.0, level, "shop", f"at {level}") for level in (20, 40)]
    Logs(records.database).append(lines, 0.0)
    expect(page.locator("#log .message")).to_have_text(["at 40"])


def test_the_log_is_read_from_either_end_in_pages(
    logged: Callable[..., str], open_page: OpenPage
) -> None:
    page = open_page(f"/job/{logged(250)}")
    messages = page.locator("#log .message")
    expect(messages.first).to_have_text("line 249.")
    page.get_by_label("Order").select_option("oldest first")
    page.get_by_role("button", name="Filter").click()
    expect(messages.first).to_have_text("line 0.")
    shown = messages.count()
    link(page, "Pages of the log", "Newer lines").click()
    expect(messages.first).to_have_text(f"line {shown}.")
    link(page, "Pages of the log", "To the begin").click()
    expect(messages.first).to_have_text("line 0.")


def test_children_are_shown_in_pages(records: Records, open_page: OpenPage) -> None:
    top, *children = records.make_family(60)
    page = open_page(f"/job/{top}")
    expect(row_of(page, children[-1])).to_be_visible()
    link(page, "Pages of children", "Older").click()
    expect(row_of(page, children[0])).to_be_visible()
    link(page, "Pages of children", "Newer").click()
    expect(row_of(page, children[-1])).to_be_visible()


def test_a_grandchild_names_all_above_it(records: Records, open_page: OpenPage) -> None:
    root = records.make_running(label="Root")
    middle = records.make_running(under=root, label="Middle")
    page = open_page(f"/job/{records.make(under=middle)}")
    link(page, "Jobs above this one", "Middle").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Middle")
    link(page, "Jobs above this one", "Root").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Root")


def test_each_part_of_the_page_has_a_link(records: Records, open_page: OpenPage) -> None:
    page = open_page(f"/job/{records.make()}")
    for name in ("Job", "Children jobs", "Runs", "Audit", "Log"):
        entry = page.get_by_role("navigation", name="Parts of this page")
        entry.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(":target")).to_have_text(name)


def test_the_reason_that_is_being_written_stays_while_the_job_changes(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    page = open_page(f"/job/{job}")
    page.get_by_label("Reason").fill("because")
    records.claim(job)
    expect(status_of(page)).to_have_text("In Progress")
    expect(page.get_by_label("Reason")).to_have_value("because")
    press(page, "Stop")
    expect(page.locator(".audit li").first).to_contain_text("because")


def test_the_outcome_stays_while_the_job_changes(records: Records, open_page: OpenPage) -> None:
    job = records.make_running()
    page = open_page(f"/job/{job}")
    press(page, "Stop")
    expect(page.locator("#outcomes")).to_contain_text("stopping: it has never reached")
    records.halt(job)
    expect(status_of(page)).to_have_text("Stopped")
    expect(page.locator("#outcomes")).to_contain_text("stopping: it has never reached")


# -- statistics ------------------------------------------------------------------------------


def figure(page: Page) -> Locator:
    return page.locator("dt", has_text="Number of creations").locator("+ dd")


def test_each_range_of_the_statistics_can_be_chosen(
    records: Records, open_page: OpenPage
) -> None:
    records.make()
    page = open_page("/statistics")
    for name in ("1 hour", "24 hours", "7 days", "30 days", "12 weeks"):
        link(page, "Range", name).click()
        expect(link(page, "Range", name)).to_have_attribute("aria-current", "true")
        expect(figure(page)).to_have_text("1")


def test_types_are_added_to_and_taken_from_the_statistics(
    records: Records, open_page: OpenPage
) -> None:
    for name in ("shop.add", "shop.add", "shop.pay"):
        records.make(type=name)
    page = open_page("/statistics")
    for name, count in (("shop.add", "2"), ("shop.pay", "3")):
        page.get_by_label("Type").fill(name)
        page.get_by_role("button", name="Show").click()
        expect(figure(page)).to_have_text(count)
    page.get_by_role("link", name="shop.add").click()
    expect(figure(page)).to_have_text("1")


def test_the_statistics_of_a_time_without_jobs_say_so_and_where_to_look(
    records: Records, open_page: OpenPage
) -> None:
    records.make()
    page = open_page("/statistics")
    page.get_by_label("From (UTC)").fill("2024-03-06T12:00")
    page.get_by_label("To (UTC)").fill("2024-03-06T13:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No job was created or started")).to_be_visible()
    page.get_by_role("link", name="Look at the last 12 weeks").click()
    expect(figure(page)).to_have_text("1")


# -- the frame -------------------------------------------------------------------------------


def test_the_menu_keeps_whether_system_jobs_are_shown(
    records: Records, open_page: OpenPage
) -> None:
    records.make(system=True)
    page = open_page("/jobs?system=1")
    link(page, "Jobs", "Statistics").click()
    expect(figure(page)).to_have_text("1")
    link(page, "Jobs", "Hide system jobs").click()
    expect(page.get_by_text("No job was created or started")).to_be_visible()
    page.get_by_role("link", name="jobmonitor").click()
    expect(page.get_by_text("No job has been submitted yet")).to_be_visible()


def test_a_page_that_does_not_exist_leads_back_to_the_jobs(
    open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    page = open_page("/job/nobody")
    expect(page.get_by_text("There is no job")).to_be_visible()
    page.get_by_role("link", name="Back to the jobs").click()
    expect(page).to_have_url(re.compile("/jobs$"))
