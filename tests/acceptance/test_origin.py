"""Each sentence of the description of background jobs that this project began with, seen in a
browser: what is known of a job. Operations, triggers, logs and the rest are beside this file.
"""

from __future__ import annotations

from datetime import UTC
from types import ModuleType

from playwright.sync_api import expect

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
    created = shop.monitor.jobs.get(job.id).created_at.astimezone(UTC).isoformat()
    page = open_page()
    assert moment_of(cell_of(page, job.id, "Create date")) == created


def test_waiting_increases_while_the_job_is_pending(
    shop: ModuleType, open_page: OpenPage
) -> None:
    job = shop.add.apply_async((1, 2), queue=NOBODYS)
    page = open_page()
    waiting = cell_of(page, job.id, "Waiting")
    first = shown_seconds(waiting)
    eventually(lambda: shown_seconds(waiting) > first + 1, says="waiting grows")
    expect(cell_of(page, job.id, "Status")).to_contain_text("Pending")
    expect(cell_of(page, job.id, "Start date")).to_have_text("—")
    expect(cell_of(page, job.id, "Duration")).to_have_text("—")
