"""The panel in a real browser: who gets in, the list of jobs, and how it stays live."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from jobmonitor.records.users import Users
from tests.browser import (
    PASSWORD,
    PATIENCE,
    USERS,
    Complaints,
    OpenPage,
    cell_of,
    log_in,
    outcome_of,
    pick,
    press,
    row_of,
    status_of,
)
from tests.factories import RAISED, Records
from tests.web_server import WebServer


def button(page: Page, word: str) -> Locator:
    """The button of an operation, with how many it fits if these are several."""
    return page.get_by_role("toolbar").get_by_role("button", name=word, exact=True)


def enabled(page: Page) -> list[str]:
    """The words on the buttons that can be pressed."""
    return page.locator(".toolbar button:enabled").all_inner_texts()


def jobs_in(page: Page) -> Locator:
    return page.locator("#jobs tbody tr")


# -- login -----------------------------------------------------------------------------------


def test_who_logs_in_comes_to_the_page_that_was_wanted_and_logs_out_again(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    page = open_page(f"/job/{job}", role=None)
    page.get_by_label("Name").fill(USERS["viewer"])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(f"/job/{job}$"))
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto("/jobs")
    expect(page).to_have_url(re.compile(r"/login\?next="))


def test_a_wrong_password_is_refused_in_a_sentence(
    open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    page = open_page("/login", role=None)
    page.get_by_label("Name").fill(USERS["viewer"])
    page.get_by_label("Password").fill("another password")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("alert")).to_have_text(
        "This name and this password do not go together."
    )
    expect(page.get_by_label("Name")).to_have_value(USERS["viewer"])


def test_a_session_that_ended_elsewhere_sends_the_page_to_the_login(
    records: Records, open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    users = Users(records.database)
    users.create("a-leaver", "viewer", PASSWORD)
    page = open_page("/login", role=None)
    log_in(page, "a-leaver")
    page.goto("/jobs?status=stopped")
    users.remove("a-leaver")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert page.url.endswith("/login?next=/jobs?status%3Dstopped")


def test_a_viewer_sees_no_button_that_changes_a_job(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    page = open_page(role="viewer")
    expect(row_of(page, job)).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select")).to_have_count(0)
    expect(page.locator("[data-operation]")).to_have_count(0)
    expect(page.locator("#live")).to_have_text("live")
    page.goto(f"/job/{job}")
    expect(page.locator("[data-operation]")).to_have_count(0)
    expect(page.locator("#live")).to_have_text("live")


# -- it stays live ---------------------------------------------------------------------------


def test_a_new_job_appears_without_a_reload(records: Records, open_page: OpenPage) -> None:
    page = open_page(hurried=False)
    expect(page.get_by_text("No job has been submitted yet")).to_be_visible()
    page.evaluate("document.title = 'the same page'")
    job = records.make()
    expect(row_of(page, job)).to_be_visible()
    expect(page).to_have_title("the same page")


def test_where_nothing_has_changed_the_answer_is_304(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    pages = [open_page("/jobs"), open_page(f"/job/{job}")]
    for page in pages:
        with page.expect_response(lambda answer: answer.status == 304, timeout=PATIENCE):
            pass
        expect(page.locator("#live")).to_have_text("live")


def test_the_selection_survives_what_changes_around_it(
    records: Records, open_page: OpenPage
) -> None:
    one, two = records.make(), records.make()
    page = open_page()
    pick(page, one)
    records.claim(two)
    new = records.make()
    expect(row_of(page, new)).to_be_visible()
    expect(cell_of(page, two, "Status")).to_have_text("In Progress")
    checked = [
        row_of(page, job).get_by_role("checkbox").is_checked() for job in (one, two, new)
    ]
    assert checked == [True, False, False]
    assert "Stop" in enabled(page)


def test_the_list_says_when_it_is_not_live_and_when_it_is_again(
    records: Records, open_page: OpenPage, web_server: WebServer, complaints: Complaints
) -> None:
    complaints.expect("ERR_CONNECTION_REFUSED|Failed to fetch|ERR_EMPTY_RESPONSE")
    job = records.make()
    page = open_page()
    web_server.stop()
    expect(page.locator("#live")).to_have_text("not live: the panel does not answer")
    expect(row_of(page, job)).to_be_visible()
    web_server.start()
    expect(page.locator("#live")).to_have_text("live")


def test_a_page_of_a_job_that_is_gone_says_that_it_is_not_live(
    records: Records, open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    page = open_page(f"/job/{records.make('a-job')}")
    records.clear()
    expect(page.locator("#live")).to_have_text("not live: the panel answered 404")
    expect(status_of(page)).to_have_text("Pending")


def test_times_are_in_the_zone_of_the_viewer_and_in_utc_on_hover(
    records: Records, open_page: OpenPage
) -> None:
    created = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=30)
    job = records.make_at(created)
    page = open_page(timezone_id="Asia/Tokyo")
    time = cell_of(page, job, "Create date").locator("time")
    there = created.astimezone(ZoneInfo("Asia/Tokyo"))
    expect(time).to_have_text(re.compile(f"^{there:%d} .*{there:%H:%M:%S}$"))
    expect(time).to_have_attribute("title", f"{created:%Y-%m-%d %H:%M:%S} UTC")


# -- selecting and operating -----------------------------------------------------------------


def test_select_all_selects_all_and_shows_when_it_is_only_some(
    records: Records, open_page: OpenPage
) -> None:
    jobs = [records.make() for _ in range(3)]
    page = open_page()
    every = page.get_by_label("Select all on this page")
    every.check()
    for job in jobs:
        expect(row_of(page, job).get_by_role("checkbox")).to_be_checked()
    row_of(page, jobs[0]).get_by_role("checkbox").uncheck()
    expect(every).to_be_checked(indeterminate=True)
    expect(button(page, "Stop 2")).to_be_enabled()
    every.check()
    every.uncheck()
    assert enabled(page) == []


def test_buttons_are_enabled_by_what_fits_the_selection(
    records: Records, open_page: OpenPage
) -> None:
    pending, low = records.make(), records.make(low_priority=True)
    stopped, done = records.make(), records.make_running(restartable=True)
    records.operate("stop", stopped)
    records.finish(done)
    records.told(done)
    page = open_page()
    assert enabled(page) == []
    pick(page, done)
    assert enabled(page) == ["Restart"]
    pick(page, stopped)
    assert enabled(page) == ["Resume", "Cancel", "Restart", "Set low priority"]
    pick(page, pending, low)
    assert enabled(page) == [
        "Stop 2", "Resume", "Cancel", "Restart", "Set low priority 2", "Remove low priority",
    ]  # fmt: skip


def test_the_outcome_names_each_job_and_the_audit_keeps_the_reason(
    records: Records, open_page: OpenPage
) -> None:
    one, two = records.make(label="First"), records.make(label="Second")
    page = open_page()
    pick(page, one, two)
    page.get_by_label("Reason").fill("for lunch")
    records.operate("stop", two)
    press(page, "Stop")
    expect(outcome_of(page, one)).to_have_text("First: stopped")
    expect(outcome_of(page, two)).to_have_text(
        "Second: only a job that waits or runs can be stopped; this one is Stopped"
    )
    outcome_of(page, one).get_by_role("link", name="First").click()
    audit = page.locator(".audit li").first
    expect(audit).to_contain_text(f"stop by {USERS['operator']} Pending → Stopped: for lunch")


def test_who_declines_a_question_has_changed_nothing(
    records: Records, open_page: OpenPage
) -> None:
    job = records.make()
    records.operate("stop", job)
    page = open_page(f"/job/{job}")
    page.once("dialog", lambda question: question.dismiss())
    button(page, "Cancel").click()
    expect(status_of(page)).to_have_text("Stopped")
    assert records.status(job) == "stopped"


# -- filters and pages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "value"), [("Run by", "bob"), ("Type", "shop.fail"), ("Text", "Second")]
)
def test_the_form_filters_by_a_text(
    records: Records, open_page: OpenPage, label: str, value: str
) -> None:
    records.make(label="First", run_by="alice")
    found = records.make(label="Second", run_by="bob", type="shop.fail")
    page = open_page()
    page.get_by_role("search").get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Filter").click()
    expect(jobs_in(page)).to_have_count(1)
    expect(row_of(page, found)).to_be_visible()
    page.get_by_role("link", name="Clear").click()
    expect(jobs_in(page)).to_have_count(2)


def test_the_form_filters_by_statuses_errors_and_priority(
    records: Records, open_page: OpenPage
) -> None:
    failed, low = records.make_running(), records.make(low_priority=True)
    records.finish(failed, RAISED)
    records.make_running()
    page = open_page()
    page.get_by_role("search").get_by_text("Pending", exact=True).click()
    page.get_by_role("search").get_by_text("Finished", exact=True).click()
    page.get_by_role("button", name="Filter").click()
    expect(jobs_in(page)).to_have_count(2)
    page.get_by_label("Errors").select_option("with errors")
    page.get_by_role("button", name="Filter").click()
    expect(jobs_in(page)).to_have_count(1)
    expect(row_of(page, failed)).to_be_visible()
    page.get_by_label("Errors").select_option("any")
    page.get_by_label("Low priority", exact=True).select_option("yes")
    page.get_by_role("button", name="Filter").click()
    expect(jobs_in(page)).to_have_count(1)
    expect(row_of(page, low)).to_be_visible()


def test_a_filter_stays_while_the_list_asks_again(
    records: Records, open_page: OpenPage
) -> None:
    page = open_page("/jobs?status=stopped")
    expect(page.get_by_text("No job matches these filters")).to_be_visible()
    records.make()
    stopped = records.make()
    records.operate("stop", stopped)
    expect(row_of(page, stopped)).to_be_visible()
    expect(jobs_in(page)).to_have_count(1)


def test_the_pager_goes_to_older_and_newer_jobs(records: Records, open_page: OpenPage) -> None:
    jobs = [records.make() for _ in range(110)]
    page = open_page()
    expect(jobs_in(page)).to_have_count(50)
    for _ in range(2):
        page.get_by_role("link", name="Older").click()
    expect(jobs_in(page)).to_have_count(10)
    expect(row_of(page, jobs[0])).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    expect(jobs_in(page)).to_have_count(50)
    expect(row_of(page, jobs[59])).to_be_visible()
    page.get_by_role("link", name="Newest").click()
    expect(row_of(page, jobs[-1])).to_be_visible()
    expect(page.get_by_role("link", name="Newer")).to_have_count(0)
