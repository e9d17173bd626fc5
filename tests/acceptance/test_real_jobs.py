"""The jobs of celery_app.py on its real data, with real workers."""

from __future__ import annotations

import csv
import hashlib
import importlib
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from celery import _state as celery_state

from jobmonitor.records.job_view import JobView
from jobmonitor.states import Status
from tests.waiting import eventually
from tests.workers import REPOSITORY, Worker, workers

APP = "celery_app"
EXPORT = {"batch": 500, "delay": 0.05}


@pytest.fixture(scope="module")
def airports(environment: dict[str, str]) -> Iterator[ModuleType]:
    """celery_app, imported anew for this module's servers."""
    before = dict(os.environ)
    os.environ.update(environment)
    finalizers = set(celery_state._on_app_finalizers)
    sys.modules.pop(APP, None)
    module = importlib.import_module(APP)
    yield module
    module.app.close()
    celery_state._on_app_finalizers = finalizers
    module.database().dispose()
    module.monitor.database.close()
    sys.modules.pop(APP, None)
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def crew(
    airports: ModuleType, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Worker, ...]]:
    """Two workers with two processes each."""
    logs = tmp_path_factory.mktemp("log")
    with workers(Worker(APP, environment, logs), Worker(APP, environment, logs)) as both:
        yield both


@pytest.fixture(scope="module")
def imported(airports: ModuleType, crew: tuple[Worker, ...]) -> JobView:
    """The import of the data that airportsdata ships, finished with all its children."""
    with airports.monitor.acting("alice"):
        job_id = airports.import_records.delay().id
    return finished_tree(airports, job_id)


def finished_tree(airports: ModuleType, job_id: str) -> JobView:
    """Wait until a job and all its descendants are final."""

    def final() -> JobView | None:
        job: JobView = airports.monitor.jobs.get(job_id)
        return job if job.status is Status.FINISHED and not job.unfinished else None

    found = eventually(final, within=60, every=0.1, says=f"all of job {job_id} is finished")
    assert found is not None
    return found


def shipped() -> list[dict[str, str]]:
    with (resources.files("airportsdata") / "airports.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def checksum(airports: ModuleType) -> str:
    """Sum up the table with the version of each row: an equal sum says nothing was written."""
    rows = "SELECT xmin::text || a::text FROM airports.airport a ORDER BY icao"
    digest = hashlib.sha256()
    with airports.database().connect() as connection:
        for text in connection.scalars(sa.text(rows)):
            digest.update(text.encode())
    return digest.hexdigest()


# -- import ----------------------------------------------------------------------------------


def test_the_import_is_complete(airports: ModuleType, imported: JobView) -> None:
    with airports.database().connect() as connection:
        stored = connection.execute(sa.select(airports.airport)).mappings().all()
    wanted = {row["icao"]: row for row in shipped()}
    assert len(wanted) > 28_000
    assert {row["icao"] for row in stored} == set(wanted)
    for row in stored:
        source = wanted[row["icao"]]
        assert (row["name"], row["tz"] or "") == (source["name"].strip(), source["tz"])
        assert (row["lat"], row["lon"]) == (float(source["lat"]), float(source["lon"]))
    assert (imported.run_by, imported.has_errors) == ("alice", False)
    assert (
        imported.children.total == imported.children.finished == math.ceil(len(wanted) / 1000)
    )
    assert imported.progress.percent == 100


def test_importing_twice_changes_nothing(airports: ModuleType, imported: JobView) -> None:
    before = checksum(airports)
    assert airports.monitor.jobs.restart(imported.id)[0].changed
    again = finished_tree(airports, imported.id)
    assert again.run == imported.run + 1
    assert checksum(airports) == before
    children = [node.job for node in airports.monitor.jobs.tree(again.id) if node.depth]
    assert {child.result for child in children if child.created_at > again.started_at} == {0}


def test_bad_rows_are_errors_and_the_rest_is_imported(
    airports: ModuleType, imported: JobView, tmp_path: Path
) -> None:
    good = [row | {"icao": f"ZZ{n}"} for n, row in enumerate(shipped()[:3])]
    bad = [
        good[0] | change
        for change in (
            {"icao": " "}, {"icao": "ZZ7", "lat": ""}, {"icao": "ZZ8", "lon": "180.5"},
            {"icao": "ZZ9", "lat": "nan"}, {"icao": "ZZA", "name": "\0"},
            {"icao": "ZZB", "city": "K\udcf6ln"},
        )
    ]  # fmt: skip
    file = tmp_path / "mixed.csv"
    lines = [[row[name] for name in airports.FIELDS] for row in (bad[0], *good, *bad[1:])]
    with file.open("w", encoding="utf-8", errors="surrogateescape", newline="") as new:
        csv.writer(new).writerows([airports.FIELDS, *lines, ["ZZC", "too", "short"]])
    top = finished_tree(airports, airports.import_records.delay(str(file)).id)
    (child,) = [node.job for node in airports.monitor.jobs.tree(top.id) if node.depth]
    lines = airports.monitor.jobs.logs(child.id, level="error").lines
    noted = [line.message for line in lines if "row" in line.message]
    here = airports.airport.c.icao.like("ZZ_") & airports.airport.c.icao.not_in(
        [row["icao"] for row in shipped()]
    )
    with airports.database().begin() as connection:
        codes = connection.scalars(sa.select(airports.airport.c.icao).where(here)).all()
        connection.execute(sa.delete(airports.airport).where(here))
    assert sorted(codes) == ["ZZ0", "ZZ1", "ZZ2"]
    assert (child.has_errors, child.error, child.result) == (True, None, 3)
    assert (top.has_errors, top.children.with_errors) == (False, 1)
    assert len(noted) == 7
    assert any("row 1 is not imported: icao is missing" in reason for reason in noted)
    assert any("lon 180.5 is not between -180.0 and 180.0" in reason for reason in noted)


# -- export ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(
    airports: ModuleType, imported: JobView, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The file of an export that nobody interrupted."""
    file = tmp_path_factory.mktemp("export") / "whole.csv"
    job = finished_tree(airports, airports.export_records.delay(str(file)).id)
    assert job.result == len(shipped())
    with file.open(encoding="utf-8", newline="") as whole:
        assert [row["icao"] for row in csv.DictReader(whole)] == sorted(
            (row["icao"] for row in shipped()), key=lambda code: code.encode()
        )
    return file.read_bytes()


def runs_past(airports: ModuleType, job_id: str, percent: float) -> JobView:
    """Wait until a job runs and has got so far, but is not at its end."""

    def there() -> JobView | None:
        job: JobView = airports.monitor.jobs.get(job_id)
        return job if (job.progress.percent or 0) >= percent else None

    job = eventually(there, within=30, says=f"job {job_id} is at {percent} %")
    assert job is not None
    assert job.status is Status.RUNNING
    return job


def test_an_export_stopped_in_the_middle_ends_byte_identical(
    airports: ModuleType, crew: tuple[Worker, ...], uninterrupted: bytes, tmp_path: Path
) -> None:
    jobs, file = airports.monitor.jobs, tmp_path / "stopped.csv"
    job_id = airports.export_records.delay(str(file), **EXPORT).id
    running = runs_past(airports, job_id, 30)
    assert jobs.stop(job_id)[0].changed
    stopped = jobs.wait_for(job_id, Status.STOPPED, timeout=15)
    assert 30 <= stopped.progress.percent < 100
    (part,) = tmp_path.glob("*.part")
    with part.open("ab") as more:
        more.write(b"written behind the last checkpoint\n")
    (its,) = [one for one in crew if str(running.worker).startswith(f"{one.name}@")]
    assert its.stop() == 0
    its.start()
    assert not file.exists()
    assert jobs.resume(job_id)[0].changed
    done = finished_tree(airports, job_id)
    assert (done.attempt, done.has_errors, done.result) == (2, False, len(shipped()))
    assert file.read_bytes() == uninterrupted
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_whose_process_was_killed_ends_byte_identical(
    airports: ModuleType, crew: tuple[Worker, ...], uninterrupted: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "killed.csv"
    job_id = airports.export_records.delay(str(file), **EXPORT).id
    pid = runs_past(airports, job_id, 30).worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    done = finished_tree(airports, job_id)
    assert (done.lost, done.has_errors) == (1, False)
    assert file.read_bytes() == uninterrupted


def test_an_export_starts_anew_where_its_unfinished_file_is_gone(
    airports: ModuleType, crew: tuple[Worker, ...], uninterrupted: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "deleted.csv"
    job_id = airports.export_records.delay(str(file), **EXPORT).id
    runs_past(airports, job_id, 10)
    airports.monitor.jobs.stop(job_id)
    airports.monitor.jobs.wait_for(job_id, Status.STOPPED, timeout=15)
    next(tmp_path.glob("*.part")).unlink()
    airports.monitor.jobs.resume(job_id)
    finished_tree(airports, job_id)
    assert file.read_bytes() == uninterrupted


# -- action ----------------------------------------------------------------------------------


def haversine(one: dict[str, str], other: dict[str, str]) -> float:
    lat1, lon1, lat2, lon2 = (
        math.radians(float(place[name])) for place in (one, other) for name in ("lat", "lon")
    )
    half = math.sin((lat2 - lat1) / 2) ** 2
    half += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(math.sqrt(half))


def test_an_action_has_grandchildren_and_the_right_numbers(
    airports: ModuleType, imported: JobView
) -> None:
    top = finished_tree(airports, airports.execute_action.delay(["AU", "IS", "MT", "??"]).id)
    nodes = airports.monitor.jobs.tree(top.id)
    by_depth = [[n.job.type for n in nodes if n.depth == depth] for depth in range(4)]
    large = [row for row in shipped() if row["country"] == "AU"]
    assert [len(types) for types in by_depth] == [1, 3, math.ceil(len(large) / 500), 0]
    assert set(by_depth[2]) == {"celery_app.rank_block"}
    assert top.has_errors  # there is no country ??
    places = [row for row in shipped() if row["country"] == "IS"]
    with airports.database().connect() as connection:
        rows = connection.execute(sa.select(airports.neighbour)).all()
    found: dict[str, Any] = {row.icao: row for row in rows}
    assert {row["icao"] for row in large} <= set(found)
    for place in places:
        other = min((p for p in places if p is not place), key=lambda p: haversine(place, p))
        assert found[place["icao"]].nearest == other["icao"]
        assert found[place["icao"]].km == pytest.approx(haversine(place, other), abs=1e-3)


# -- events, upkeep, and what can go wrong ---------------------------------------------------


def test_an_event_of_a_plain_producer_is_not_stopped_before_its_end(
    airports: ModuleType, crew: tuple[Worker, ...], environment: dict[str, str]
) -> None:
    jobs = airports.monitor.jobs
    producer = REPOSITORY / "deploy" / "event_producer.py"
    assert "jobmonitor" not in set(producer.read_text().split("import")[1:])
    subprocess.run(
        [sys.executable, str(producer), "order-paid"],
        env={**os.environ, "BROKER_URL": environment["BROKER_URL"]}, check=True, timeout=30,
    )  # fmt: skip
    find = lambda: jobs.find(type=["celery_app.handle_event"]).jobs  # noqa: E731
    (job,) = eventually(find, within=20, says="the event has a row")
    assert (job.label, job.run_by, job.stoppable) == ("Event order-paid", None, False)
    assert jobs.stop(job.id)[0].status == "stopping"
    stopping = jobs.get(job.id)
    assert (stopping.status, stopping.finished_at) == (Status.STOPPING, None)
    assert not jobs.resume(job.id)[0].changed
    done = jobs.wait_for(job.id, timeout=20)
    assert (done.status, done.has_errors) == (Status.FINISHED, False)
    assert done.result == "order-paid is handled"


def test_refresh_links_is_a_system_job_that_beat_sends(
    airports: ModuleType, imported: JobView
) -> None:
    jobs = airports.monitor.jobs
    (entry,) = airports.app.conf.beat_schedule.values()
    gone = {"icao": "ZZZZ", "nearest": "BIKF", "km": 1.0}
    airports.write(airports.neighbour, [gone])
    task = airports.app.tasks[entry["task"]]
    job = finished_tree(airports, task.delay().id)
    assert (job.system, job.result) == (True, 1)
    assert job.id in {shown.id for shown in jobs.find(system=True).jobs}
    assert job.id not in {shown.id for shown in jobs.find(system=False).jobs}


def test_one_job_fails_one_retries_one_waits_for_its_time(
    airports: ModuleType, imported: JobView
) -> None:
    jobs = airports.monitor.jobs
    failed, retried = airports.close_books.delay(), airports.ask_service.delay()
    later = airports.send_report.apply_async(countdown=600)
    report = finished_tree(airports, airports.send_report.delay().id)
    assert report.result["airport"] == len(shipped())
    error = finished_tree(airports, failed.id).error or ""
    assert "LookupError: there is no ledger" in error
    assert (jobs.get(later.id).status, jobs.get(later.id).pending_because) == ("pending", "due")
    assert jobs.get(retried.id).pending_because in {"retry", None}
    answered = finished_tree(airports, retried.id)
    assert (answered.retries, answered.result) == (2, "answered at try 3")
    assert not answered.has_errors
    assert jobs.stop(later.id)[0].status == "stopped"


def test_only_a_force_stop_ends_the_endless_loop(
    airports: ModuleType, crew: tuple[Worker, ...]
) -> None:
    jobs = airports.monitor.jobs
    job_id = airports.endless_loop.delay().id
    jobs.wait_for(job_id, Status.RUNNING, timeout=20)
    assert jobs.stop(job_id)[0].status == "stopping"
    assert jobs.force_stop(job_id)[0].status == "stopped"
    pid = jobs.get(job_id).worker_pid
    eventually(lambda: not Path(f"/proc/{pid}").exists(), says="its process is gone")
    assert jobs.cancel(job_id)[0].status == "canceled"


def test_a_sample_of_bad_rows_changes_no_airport(
    airports: ModuleType, imported: JobView, tmp_path: Path
) -> None:
    before = checksum(airports)
    file = airports.write_bad_rows(tmp_path / "sample.csv")
    top = finished_tree(airports, airports.import_records.delay(str(file)).id)
    assert (top.result, top.children.with_errors) == (9, 1)
    assert checksum(airports) == before


def test_the_import_reads_what_airportsdata_ships(airports: ModuleType) -> None:
    read: Callable[[None], Iterator[dict[str, str]]] = airports.read
    assert list(islice(read(None), 3)) == shipped()[:3]
