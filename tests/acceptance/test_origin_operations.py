"""Each sentence about operations on jobs in the description that this project began with, as a
person carries them out in a browser.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser import OpenPage, cell_of, moment_of, outcome_of, pick, press, status_of
from tests.waiting import eventually
from tests.workers import Worker

NOBODYS, RUSH = "nobodys", "rush"  # queues that no worker consumes; the second one not yet


def operation(page: Page, word: str) -> Locator:
    """The button of an operation on the page of a job."""
    return page.get_by_role("toolbar").get_by_role("button", name=word, exact=True)


def stopped(shop: ModuleType) -> str:
    """A job that has never started and is Stopped."""
    job_id: str = shop.add.apply_async((1, 2), queue=NOBODYS).id
    shop.monitor.jobs.stop(job_id)
    return job_id


# -- selecting -------------------------------------------------------------------------------


def test_you_perform_operations_on_jobs_by_selecting_the_relevant_jobs(
    shop: ModuleType, open_page: OpenPage
) -> None:
    one, two, three = (shop.add.apply_async((1, 2), queue=NOBODYS).id for _ in range(3))
    page = open_page()
    pick(page, one, three)
    press(page, "Stop")
    for job_id in (one, three):
        expect(outcome_of(page, job_id)).to_contain_text("stopped")
        expect(cell_of(page, job_id, "Status")).to_have_text("Stopped")
    expect(page.locator("#outcomes li")).to_have_count(2)
    expect(cell_of(page, two, "Status")).to_contain_text("Pending")


def test_an_operation_says_for_each_selected_job_what_became_of_it(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    waits = shop.add.apply_async((1, 2), queue=NOBODYS).id
    done = shop.monitor.jobs.wait_for(shop.add.delay(1, 2).id).id
    page = open_page()
    pick(page, waits, done)
    press(page, "Stop")
    expect(outcome_of(page, waits)).to_have_text(f"{shop.add.name}: stopped")
    expect(outcome_of(page, done)).to_have_text(
        f"{shop.add.name}: only a job that waits or runs can be stopped; this one is Finished"
    )


# -- stop, resume ----------------------------------------------------------------------------


def test_stop_gracefully_halts_a_running_job_and_after_stopping_you_can_resume_it(
    shop: ModuleType, worker: Worker, open_page: OpenPage, trace: Callable[[], list[str]]
) -> None:
    job = shop.count.delay(60)
    eventually(lambda: len(trace()) > 3)
    page = open_page()
    pick(page, job.id)
    press(page, "Stop")
    expect(cell_of(page, job.id, "Status")).to_have_text("Stopped")
    steps = trace()
    assert steps == [f"count {step}" for step in range(len(steps))]
    press(page, "Resume")
    shop.monitor.jobs.wait_for(job.id, timeout=10)
    assert len(steps) < len(trace()) == 60


def test_resume_continues_a_stopped_job_from_where_it_left_off(
    shop: ModuleType, worker: Worker, open_page: OpenPage, trace: Callable[[], list[str]]
) -> None:
    job = shop.count.delay(40)
    eventually(lambda: len(trace()) > 3)
    shop.monitor.jobs.stop(job.id)
    shop.monitor.jobs.wait_for(job.id, "stopped")
    page = open_page(f"/job/{job.id}")
    press(page, "Resume")
    expect(status_of(page)).to_have_text("Finished")
    assert trace() == [f"count {step}" for step in range(40)]


def test_a_job_that_executes_a_listener_remains_stopping_until_completion(
    shop: ModuleType, worker: Worker, open_page: OpenPage, tmp_path: Path
) -> None:
    job = shop.listen.delay(4.0)
    shop.monitor.jobs.wait_for(job.id, "running", timeout=10)
    page = open_page(f"/job/{job.id}")
    press(page, "Stop")
    expect(status_of(page)).to_have_text("Stopping")
    expect(page.locator(".status .detail")).to_have_text(
        "it cannot be stopped midway: it stays Stopping until it completes"
    )
    expect(status_of(page)).to_have_text("Finished")
    assert shop.monitor.jobs.get(job.id).result == "heard"


def test_system_jobs_may_not_have_the_option_to_stop(
    shop: ModuleType, open_page: OpenPage
) -> None:
    system = shop.tidy.apply_async(queue=NOBODYS).id
    page = open_page("/jobs?system=1")
    pick(page, system)
    expect(operation(page, "Set low priority")).to_be_enabled()
    expect(operation(page, "Stop")).to_be_disabled()
    page.goto(f"/job/{system}")
    expect(operation(page, "Set low priority")).to_be_visible()
    expect(operation(page, "Stop")).to_have_count(0)


# -- force stop, cancel ----------------------------------------------------------------------


def test_force_stop_forces_a_stopping_job_to_halt_after_a_question(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    job = shop.hang.delay()
    shop.monitor.jobs.wait_for(job.id, "running", timeout=10)
    pool = worker.children
    page = open_page(f"/job/{job.id}")
    expect(operation(page, "Force Stop")).to_be_disabled()
    press(page, "Stop")
    expect(status_of(page)).to_have_text("Stopping")
    press(page, "Force Stop", answer="may be inconsistent")
    expect(status_of(page)).to_have_text("Stopped")
    eventually(lambda: len(worker.children) == 2 and worker.children != pool)
    shop.monitor.jobs.cancel(job.id)


def test_cancel_discards_a_stopped_job_making_it_unrecoverable(
    shop: ModuleType, open_page: OpenPage
) -> None:
    job_id = stopped(shop)
    page = open_page(f"/job/{job_id}")
    press(page, "Cancel", answer="for good")
    expect(status_of(page)).to_have_text("Canceled")
    expect(page.get_by_role("toolbar").get_by_role("button", disabled=False)).to_have_count(0)
    assert not shop.monitor.jobs.resume(job_id)[0].changed


# -- restart ---------------------------------------------------------------------------------


def test_restart_re_executes_a_finished_job(
    shop: ModuleType, worker: Worker, open_page: OpenPage, trace: Callable[[], list[str]]
) -> None:
    job = shop.monitor.jobs.wait_for(shop.count.delay(3, 0.0).id)
    page = open_page(f"/job/{job.id}")
    press(page, "Restart")
    expect(
        page.locator("section", has=page.locator("#runs")).locator("tbody tr")
    ).to_have_count(2)
    expect(status_of(page)).to_have_text("Finished")
    assert trace() == ["count 0", "count 1", "count 2"] * 2


def test_restart_is_available_for_specific_job_types(
    shop: ModuleType, worker: Worker, open_page: OpenPage
) -> None:
    jobs = shop.monitor.jobs
    has_it = jobs.wait_for(shop.count.delay(1, 0.0).id).id
    has_it_not = jobs.wait_for(shop.add.delay(1, 2).id).id
    page = open_page()
    pick(page, has_it_not)
    expect(operation(page, "Restart")).to_be_disabled()
    pick(page, has_it)
    expect(operation(page, "Restart")).to_be_enabled()


# -- low priority ----------------------------------------------------------------------------


@pytest.fixture
def begin(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> Callable[[Page, list[str]], list[str]]:
    """Let a worker with one process begin with these jobs; they, in the order they start."""

    def begin(page: Page, job_ids: list[str]) -> list[str]:
        start_worker(concurrency=1, options=("-Q", RUSH))
        for job_id in job_ids:
            shop.monitor.jobs.wait_for(job_id, timeout=20)
        page.reload()
        return sorted(job_ids, key=lambda one: moment_of(cell_of(page, one, "Start date")))

    return begin


def test_low_priority_impacts_execution_when_the_app_experiences_heavy_loads(
    shop: ModuleType, open_page: OpenPage, begin: Callable[[Page, list[str]], list[str]]
) -> None:
    low = shop.add.apply_async((1, 2), queue=RUSH, low_priority=True).id
    load = [shop.add.apply_async((1, 2), queue=RUSH).id for _ in range(5)]
    assert begin(open_page(), [low, *load]) == [*load, low]


def test_set_low_priority_marks_a_job_and_schedules_it_for_periods_of_low_load(
    shop: ModuleType, open_page: OpenPage, begin: Callable[[Page, list[str]], list[str]]
) -> None:
    first, *load = (shop.add.apply_async((1, 2), queue=RUSH).id for _ in range(5))
    page = open_page()
    pick(page, first)
    press(page, "Set low priority")
    expect(cell_of(page, first, "Low priority")).to_have_text("yes")
    assert begin(page, [first, *load]) == [*load, first]


def test_remove_low_priority_ensures_that_a_job_is_executed_as_usual(
    shop: ModuleType, open_page: OpenPage, begin: Callable[[Page, list[str]], list[str]]
) -> None:
    first, *low = (
        shop.add.apply_async((1, 2), queue=RUSH, low_priority=True).id for _ in range(5)
    )
    page = open_page()
    pick(page, low[-1])
    press(page, "Remove low priority")
    expect(cell_of(page, low[-1], "Low priority")).to_have_text("")
    assert begin(page, [first, *low])[0] == low[-1]
