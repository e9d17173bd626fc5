"""The common triggers of background jobs in the description that this project began with, by
the app of the demo, and its export, stopped and resumed by buttons.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import expect

from jobmonitor.states import Status
from tests.acceptance_fixtures import imported_app
from tests.browser import OpenPage, cell_of, field_of, pick, press, row_of, status_of
from tests.waiting import eventually
from tests.workers import REPOSITORY, Worker, workers

APP = "celery_app"


@pytest.fixture(scope="module")
def panel_app() -> str:
    """The panel of these tests shows the jobs of the demo."""
    return f"{APP}:app"


@pytest.fixture(scope="module")
def airports(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModuleType]:
    """The app, imported anew for this module's servers, and a worker for it."""
    with (
        imported_app(APP, environment) as module,
        workers(Worker(APP, environment, tmp_path_factory.mktemp("log"))),
    ):
        yield module
        module.database().dispose()
    sys.modules.pop(APP, None)


@pytest.fixture(scope="module")
def imported(airports: ModuleType) -> str:
    """The import of all airports, by alice."""
    with airports.monitor.acting("alice"):
        return finished(airports, airports.import_records.delay().id)


def finished(airports: ModuleType, job_id: str) -> str:
    """Wait until a job and all below it have ended."""

    def ended() -> bool:
        job = airports.monitor.jobs.get(job_id)
        return job.status is Status.FINISHED and not job.unfinished

    eventually(ended, within=60, every=0.1, says=f"all of job {job_id} is finished")
    return job_id


def test_importing_records_triggers_a_job(imported: str, open_page: OpenPage) -> None:
    page = open_page()
    expect(cell_of(page, imported, "Job")).to_contain_text("Import airports.csv")
    expect(cell_of(page, imported, "Status")).to_have_text("Finished")
    expect(cell_of(page, imported, "Run by")).to_have_text("alice")
    expect(cell_of(page, imported, "Progress")).to_have_text("100 %")
    expect(cell_of(page, imported, "Children execution")).to_have_text("29/29")


def test_exporting_records_triggers_a_job(
    airports: ModuleType, imported: str, open_page: OpenPage, tmp_path: Path
) -> None:
    job = airports.export_records.delay(str(tmp_path / "all.csv"))
    finished(airports, job.id)
    page = open_page()
    expect(cell_of(page, job.id, "Job")).to_contain_text("Export to all.csv")
    expect(cell_of(page, job.id, "Status")).to_have_text("Finished")


def test_executing_an_action_in_the_background_triggers_a_job(
    airports: ModuleType, imported: str, open_page: OpenPage
) -> None:
    job = airports.execute_action.delay(["IS", "MT"])
    page = open_page()
    expect(cell_of(page, job.id, "Job")).to_contain_text("Find the nearest neighbours")
    finished(airports, job.id)
    expect(cell_of(page, job.id, "Status")).to_have_text("Finished")
    expect(cell_of(page, job.id, "Children execution")).to_have_text("2/2")


def test_receiving_an_event_from_a_legacy_service_triggers_a_job(
    airports: ModuleType, environment: dict[str, str], open_page: OpenPage
) -> None:
    producer = REPOSITORY / "deploy" / "event_producer.py"
    subprocess.run(
        [sys.executable, str(producer), "order-paid"],
        env={**os.environ, "BROKER_URL": environment["BROKER_URL"]}, check=True, timeout=30,
    )  # fmt: skip
    page = open_page()  # now: the job takes 5 s, and so does an open list to ask again
    page.get_by_role("link", name="Event order-paid").click()
    expect(status_of(page)).to_have_text("In Progress")
    expect(field_of(page, "Run by")).to_have_text("")
    expect(status_of(page)).to_have_text("Finished")


def test_system_jobs_perform_updates_to_relationship_fields(
    airports: ModuleType, imported: str, open_page: OpenPage
) -> None:
    airports.write(airports.neighbour, [{"icao": "ZZZZ", "nearest": "BIKF", "km": 1.0}])
    [entry] = airports.app.conf.beat_schedule.values()
    job_id = finished(airports, airports.app.tasks[entry["task"]].delay().id)
    page = open_page("/jobs?system=1")
    row_of(page, job_id).get_by_role("link", name="Refresh links").click()
    expect(page.locator("section", has=page.locator("#result")).locator("pre")).to_have_text(
        "1"
    )


def test_an_export_stopped_by_a_button_and_resumed_by_another_is_byte_identical(
    airports: ModuleType, imported: str, open_page: OpenPage, tmp_path: Path
) -> None:
    whole, file = tmp_path / "whole.csv", tmp_path / "halted.csv"
    finished(airports, airports.export_records.delay(str(whole)).id)
    jobs, job = airports.monitor.jobs, airports.export_records.delay(str(file), 500, 0.1)
    eventually(lambda: (jobs.get(job.id).progress.percent or 0) > 20, within=30)
    page = open_page()
    pick(page, job.id)
    press(page, "Stop")
    expect(cell_of(page, job.id, "Status")).to_have_text("Stopped")
    assert 20 < float(cell_of(page, job.id, "Progress").inner_text().removesuffix(" %")) < 100
    assert not file.exists()
    press(page, "Resume")
    finished(airports, job.id)
    expect(cell_of(page, job.id, "Status")).to_have_text("Finished")
    assert file.read_bytes() == whole.read_bytes()
    assert jobs.get(job.id).attempt == 2
