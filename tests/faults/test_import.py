"""Killed in the middle of an import, of real records: every record is there once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "celery_app"


@pytest.fixture(scope="module")
def airports(database_url: str, broker_url: str) -> Iterator[ModuleType]:
    environment = {"JOBMONITOR_DATABASE_URL": database_url, "BROKER_URL": broker_url}
    with imported_app(APP, environment) as module:
        yield module


@pytest.fixture
def start(
    airports: ModuleType, database_url: str, broker_url: str, tmp_path: Path
) -> Iterator[Callable[[], Worker]]:
    environment = {"JOBMONITOR_DATABASE_URL": database_url, "BROKER_URL": broker_url}
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(APP, environment, tmp_path).start())
        return started[-1]

    with workers():
        yield start
    for worker in started:
        if worker.alive:
            worker.kill()


@pytest.mark.parametrize("victim", ["child", "worker"])
def test_a_kill_in_mid_import_leaves_every_record_imported_once(
    airports: ModuleType, start: Callable[[], Worker], victim: str
) -> None:
    jobs = airports.monitor.jobs
    first = start()
    result = airports.import_records.delay(chunk_size=100)
    eventually(lambda: jobs.get(result.id).children.finished > 20, within=30)
    if victim == "child":
        os.kill(first.children[0], signal.SIGKILL)
    else:
        first.kill()
        start()
    eventually(lambda: jobs.get(result.id).status == "finished", within=60)
    eventually(lambda: jobs.get(result.id).unfinished == 0, within=90)
    top = jobs.get(result.id)
    assert (top.has_errors, top.children.with_errors) == (False, 0)
    assert top.children.total == top.children.finished == 283
    rows = list(airports.read(None))
    with airports.database().connect() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(airports.airport))
        names = connection.scalars(sa.select(airports.airport.c.icao)).all()
    assert count == len(rows)
    assert set(names) == {row["icao"] for row in rows}
