"""Each sentence of the description of background jobs that this project began with, as a person
sees it in a browser: what is known of jobs, logs, children, system jobs, statistics. What
triggers jobs and what is done to them is in the two files beside this one.

One sentence has no test yet: that the scheduler allocates execution time based on root jobs
belongs to the transport with fair order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import expect

from jobmonitor.records.job_view import JobView
from tests.acceptance_fixtures import make_due_now
from tests.browser import (
    OpenPage,
    cell_of,
    field_of,
    moment_of,
    row_of,
    shown_seconds,
    status_of,
)
from tests.waiting import eventually
from tests.workers import Worker

NOBODYS = "nobodys"  # a queue that no worker consumes


@pytest.fixture
def long_job(shop: ModuleType, worker: Worker) -> Iterator[str]:
    """A job in progress, for longer than the test takes."""
    jobs, job = shop.monitor.jobs, shop.count.delay(2_000)
    jobs.wait_for(job.id, "running", timeout=10)
    yield job.id
    jobs.stop(job.id)
    jobs.wait_for(job.id, "stopped", timeout=10)
    jobs.cancel(job.id)


def in_utc(moment: datetime | None) -> str:
    assert moment is not None
    return moment.astimezone(UTC).isoformat()


# -- information available for each job ------------------------------------------------------


def test_in_the_jobs_section_you_track_status_and_details_of_jobs(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.add.delay(20, 22)
    shop.monitor.jobs.wait_for(job.id)
    page = open_page()
    expect(cell_of(page, job.id, "Status")).to_have_text("Finished")
    row_of(page, job.id).get_by_role("link", name=shop.add.name).click()
    expect(field_of(page, "Id")).to_have_text(job.id)
    expect(page.locator("section", has=page.locator("#result"))).to_contain_text("42")


def test_create_date_indicates_when_the_job_was_created(
    shop: ModuleType, open_page: OpenPage
) -> None:
    job = shop.add.apply_async((1, 2), queue=NOBODYS)
    page = open_page()
    created = shop.monitor.jobs.get(job.id).created_at
    assert moment_of(cell_of(page, job.id, "Create date")) == in_utc(created)


def test_waiting_shows_the_time_between_creation_and_the_start_of_execution(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    for _ in worker.children:  # both processes are busy meanwhile
        shop.listen.delay(1.0)
    job = shop.monitor.jobs.wait_for(shop.add.delay(1, 2).id, timeout=10)
    assert job.started_at
    between = (job.started_at - job.created_at).total_seconds()
    shown = shown_seconds(cell_of(open_page(), job.id, "Waiting"))
    assert shown == pytest.approx(between, abs=0.3)
    assert shown > 0.5


def test_waiting_increases_while_the_job_is_pending(
    shop: ModuleType, open_page: OpenPage
) -> None:
    job = shop.add.apply_async((1, 2), queue=NOBODYS)
    page = open_page()
    waiting = cell_of(page, job.id, "Waiting")
    first = shown_seconds(waiting)
    eventually(lambda: shown_seconds(waiting) > first + 1, says="waiting grows")
    expect(cell_of(page, job.id, "Status")).to_contain_text("Pending")


def test_start_date_marks_when_execution_commenced(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    started = shop.monitor.jobs.wait_for(shop.add.delay(1, 2).id)
    waits = shop.add.apply_async((1, 2), queue=NOBODYS)
    page = open_page()
    assert moment_of(cell_of(page, started.id, "Start date")) == in_utc(started.started_at)
    expect(cell_of(page, waits.id, "Start date")).to_have_text("—")


def test_duration_is_the_time_to_complete_since_the_start_date(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.monitor.jobs.wait_for(shop.listen.delay(1.0).id, timeout=10)
    assert job.started_at and job.finished_at
    between = (job.finished_at - job.started_at).total_seconds()
    shown = shown_seconds(cell_of(open_page(), job.id, "Duration"))
    assert shown == pytest.approx(between, abs=0.3)


def test_duration_grows_while_the_job_is_in_progress(
    long_job: str, open_page: OpenPage
) -> None:
    page = open_page()
    duration = cell_of(page, long_job, "Duration")
    first = shown_seconds(duration)
    eventually(lambda: shown_seconds(duration) > first + 1, says="the duration grows")
    expect(cell_of(page, long_job, "Status")).to_have_text("In Progress")


def test_status_is_pending_then_in_progress_then_finished(
    shop: ModuleType, worker: Worker, open_page: OpenPage, tmp_path: Path
) -> None:
    marker = tmp_path / "go on"
    job = shop.log_until.apply_async((str(marker),), countdown=600)
    page = open_page(f"/job/{job.id}")
    expect(status_of(page)).to_have_text("Pending")
    make_due_now(shop, job.id)
    shop.monitor.jobs.wait_for(job.id, "running", timeout=10)
    page.reload()
    expect(status_of(page)).to_have_text("In Progress")
    marker.touch()
    expect(status_of(page)).to_have_text("Finished")


def test_errors_flags_errors_with_details_in_the_logs_of_the_job(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    bad, good = shop.fail.delay("no paper"), shop.add.delay(1, 2)
    for job in (bad, good):
        shop.monitor.jobs.wait_for(job.id)
    page = open_page()
    expect(cell_of(page, good.id, "Errors")).to_have_text("")
    cell_of(page, bad.id, "Errors").get_by_role("link", name="errors").click()
    expect(page.locator("#log .message").first).to_contain_text("ValueError: no paper")


def test_low_priority_marks_jobs_as_low_priority(shop: ModuleType, open_page: OpenPage) -> None:
    low = shop.add.apply_async((1, 2), queue=NOBODYS, low_priority=True)
    usual = shop.add.apply_async((1, 2), queue=NOBODYS)
    page = open_page()
    expect(cell_of(page, low.id, "Low priority")).to_have_text("yes")
    expect(cell_of(page, usual.id, "Low priority")).to_have_text("")


def test_run_by_identifies_the_user_who_triggered_the_job(
    shop: ModuleType, open_page: OpenPage
) -> None:
    with shop.monitor.acting("alice"):
        job = shop.add.apply_async((1, 2), queue=NOBODYS)
    expect(cell_of(open_page(), job.id, "Run by")).to_have_text("alice")


def test_run_by_may_be_empty_for_system_jobs(shop: ModuleType, open_page: OpenPage) -> None:
    job = shop.tidy.apply_async(queue=NOBODYS)
    page = open_page("/jobs?system=1")
    expect(row_of(page, job.id)).to_be_visible()
    expect(cell_of(page, job.id, "Run by")).to_have_text("")


def test_progress_offers_an_estimate_of_the_progress(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.count.delay(80)
    eventually(lambda: shop.monitor.jobs.get(job.id).progress.percent)
    progress = cell_of(open_page(), job.id, "Progress")
    assert 0 < float(progress.inner_text().removesuffix(" %")) < 100
    expect(progress).to_have_text("100 %")


def test_progress_is_not_updated_by_some_jobs(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.listen.delay(3.0)
    shop.monitor.jobs.wait_for(job.id, "running")
    expect(cell_of(open_page(), job.id, "Progress")).to_have_text("—")


def test_children_execution_shows_the_progress_of_child_jobs_if_any_exist(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    parent, alone = shop.fan_out.delay(3), shop.add.delay(1, 2)
    eventually(lambda: shop.monitor.jobs.get(parent.id).children.finished == 3)
    shop.monitor.jobs.wait_for(alone.id)
    page = open_page()
    expect(cell_of(page, parent.id, "Children execution")).to_have_text("3/3")
    expect(cell_of(page, alone.id, "Children execution")).to_have_text("—")


def test_additional_child_jobs_created_during_execution_adjust_the_overall_progress(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    parent = shop.fan_out.delay(60, 0.1)
    eventually(lambda: shop.monitor.jobs.get(parent.id).children.total > 3)
    page = open_page()
    children = cell_of(page, parent.id, "Children execution")
    total = int(children.inner_text().split("/")[1])
    expect(children).not_to_have_text(re.compile(rf"/{total}\s*$"))
    assert 3 < total < int(children.inner_text().split("/")[1]) <= 60


# -- logs ------------------------------------------------------------------------------------


def test_for_each_job_you_can_access_logs_specific_to_its_execution(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    jobs = {word: shop.say_everything.delay(word).id for word in ("apples", "pears")}
    for job_id in jobs.values():
        shop.monitor.jobs.wait_for(job_id)
    log = open_page(f"/job/{jobs['pears']}").locator("#log")
    expect(log).to_contain_text("printed pears")
    expect(log).not_to_contain_text("apples")


def test_logs_are_searched_by_text_and_filtered_by_level(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.monitor.jobs.wait_for(shop.say_everything.delay("plums").id)
    page = open_page(f"/job/{job.id}")
    messages = page.locator("#log .message")
    page.get_by_label("Text").fill("library")
    page.get_by_role("button", name="Filter").click()
    expect(messages).to_have_text(["library logged plums"])
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("#log .level-info")).not_to_have_count(0)
    page.get_by_label("Level, at least").select_option("WARNING")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("#log .level-info")).to_have_count(0)
    expect(page.locator("#log .level-warning")).not_to_have_count(0)


# -- children jobs ---------------------------------------------------------------------------


@pytest.fixture
def family(shop: ModuleType, worker: Worker) -> list[JobView]:
    """A job and the three that it triggered."""
    top = shop.fan_out.delay(3)
    eventually(lambda: shop.monitor.jobs.get(top.id).children.finished == 3)
    return [node.job for node in shop.monitor.jobs.tree(top.id)]


def test_during_its_execution_a_job_triggers_other_jobs_known_as_children_jobs(
    family: list[JobView], open_page: OpenPage
) -> None:
    parent, *children = family
    page = open_page(f"/job/{parent.id}")
    expect(page.locator("table.children tbody tr")).to_have_count(3)
    row_of(page, children[0].id).get_by_role("link", name=children[0].type).click()
    above = page.get_by_role("navigation", name="Jobs above this one")
    expect(above.get_by_role("link", name=parent.type)).to_be_visible()


def test_children_jobs_maintain_the_clarity_of_the_main_jobs_list(
    family: list[JobView], open_page: OpenPage
) -> None:
    parent, *children = family
    page = open_page()
    expect(row_of(page, parent.id)).to_be_visible()
    for child in children:
        expect(row_of(page, child.id)).to_have_count(0)


# -- system jobs -----------------------------------------------------------------------------


def test_show_system_jobs_in_the_secondary_menu_shows_system_jobs(
    shop: ModuleType, open_page: OpenPage
) -> None:
    job = shop.tidy.apply_async(queue=NOBODYS)
    page = open_page()
    expect(row_of(page, job.id)).to_have_count(0)
    menu = page.get_by_role("navigation", name="Jobs")
    menu.get_by_role("link", name="Show system jobs").click()
    expect(row_of(page, job.id)).to_contain_text("system")
    menu.get_by_role("link", name="Hide system jobs").click()
    expect(row_of(page, job.id)).to_have_count(0)


def test_system_jobs_can_be_inspected_when_needed(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.monitor.jobs.wait_for(shop.tidy.delay().id)
    page = open_page("/jobs?system=1")
    row_of(page, job.id).get_by_role("link", name=shop.tidy.name).click()
    expect(status_of(page)).to_have_text("Finished")
    expect(field_of(page, "System job")).to_have_text("yes")


# -- statistics ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counted(shop: ModuleType, worker: Worker) -> list[JobView]:
    """All jobs of a type: two that waited, each for a time of its own, and one that waits."""
    jobs = shop.monitor.jobs
    for busy in (0.0, 1.0):
        for _ in worker.children:
            shop.listen.delay(busy)
        jobs.wait_for(shop.total.delay([1, 2]).id, timeout=10)
    shop.total.apply_async(([3],), queue=NOBODYS)
    return list(jobs.find(type=[shop.total.name]).jobs)


@pytest.fixture
def figure(
    shop: ModuleType, counted: list[JobView], open_page: OpenPage
) -> Callable[[str], str]:
    """Read a figure in Jobs > Statistics, of the counted jobs alone."""
    page = open_page()
    page.get_by_role("navigation", name="Jobs").get_by_role("link", name="Statistics").click()
    page.get_by_label("Type").fill(shop.total.name)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#statistics-chart canvas").first).to_be_visible()
    return lambda name: page.locator("dt", has_text=name).locator("+ dd").inner_text()


def waits(counted: list[JobView]) -> list[float]:
    """How long those waited that have started."""
    return [job.waiting_seconds for job in counted if job.started_at]


def about(number: float) -> Any:
    """A figure that is shown with one digit."""
    return pytest.approx(number, abs=0.06)


def test_number_of_creations_indicates_the_total_number_of_jobs_created(
    counted: list[JobView], figure: Callable[[str], str]
) -> None:
    assert figure("Number of creations") == str(len(counted)) == "3"


def test_average_waiting_time_reflects_how_long_jobs_wait_before_execution(
    counted: list[JobView], figure: Callable[[str], str]
) -> None:
    average = sum(waits(counted)) / len(waits(counted))
    assert float(figure("Average waiting time").removesuffix(" s")) == about(average)


def test_min_waiting_time_displays_the_shortest_waiting_time_before_execution(
    counted: list[JobView], figure: Callable[[str], str]
) -> None:
    assert float(figure("Min waiting time").removesuffix(" s")) == about(min(waits(counted)))


def test_max_waiting_time_highlights_the_longest_waiting_time_before_execution(
    counted: list[JobView], figure: Callable[[str], str]
) -> None:
    assert float(figure("Max waiting time").removesuffix(" s")) == about(max(waits(counted)))
