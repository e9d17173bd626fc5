"""An app that keeps a table of airports, and adopted jobmonitor in three lines.

Imports, exports and ranks the 28,000 airports of the PyPI package airportsdata in the same
Postgres that keeps the jobs. Composition root of `make demo`.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from celery import Celery, Task
from sqlalchemy.dialects.postgresql import insert

from jobmonitor import JobMonitor, current_job

DATABASE_URL = os.environ.get(
    "JOBMONITOR_DATABASE_URL", "postgresql+psycopg://localhost/jobmonitor"
)
BROKER_URL = os.environ.get("BROKER_URL", "redis://localhost:6379/0")
EARTH_RADIUS = 6371.0  # km, mean
BLOCK = 400  # airports that one job ranks
SECONDS_A_DAY = 24 * 3600

app = Celery("airports", broker=BROKER_URL, backend=BROKER_URL)
app.conf.beat_schedule = {
    "refresh-links": {"task": "celery_app.refresh_links", "schedule": 30.0}
}
monitor = JobMonitor(app, database_url=DATABASE_URL)

metadata = sa.MetaData(schema="airports")
airport = sa.Table(
    "airport",
    metadata,
    sa.Column("icao", sa.Text, primary_key=True),
    sa.Column("iata", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("city", sa.Text),
    sa.Column("subd", sa.Text),
    sa.Column("country", sa.Text, nullable=False, index=True),
    sa.Column("elevation", sa.Double),
    sa.Column("lat", sa.Double, nullable=False),
    sa.Column("lon", sa.Double, nullable=False),
    sa.Column("tz", sa.Text),
    sa.Column("lid", sa.Text),
)
neighbour = sa.Table(
    "neighbour",
    metadata,
    sa.Column("icao", sa.Text, primary_key=True),
    sa.Column("nearest", sa.Text, nullable=False),
    sa.Column("km", sa.Double, nullable=False),
)
FIELDS = [column.name for column in airport.columns]


@cache
def engine_of(_: int) -> sa.Engine:
    return sa.create_engine(DATABASE_URL, pool_size=2)


def database() -> sa.Engine:
    """One pool for each process: a connection never crosses a fork."""
    return engine_of(os.getpid())


def create_tables() -> None:
    with database().begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS airports"))
        metadata.create_all(connection)


def read_rows(path: str | None) -> list[dict[str, str]]:
    """Read a CSV of airports; None is the one that airportsdata ships."""
    source = Path(path) if path else resources.files("airportsdata").joinpath("airports.csv")
    return list(csv.DictReader(source.read_text("utf-8").splitlines()))


# -- import ----------------------------------------------------------------------------------


@app.task(restartable=True, label="Import airports")
def import_records(path: str | None = None, chunk_size: int = 1000) -> int:
    """Upsert all rows of a CSV, one child for each chunk."""
    rows = read_rows(path)
    starts = range(0, len(rows), chunk_size)
    for start in current_job().iterate(starts):
        import_chunk.delay(rows[start : start + chunk_size], start)
    return len(rows)


@app.task(label=lambda rows, start: f"Import rows {start + 1} to {start + len(rows)}")
def import_chunk(rows: list[dict[str, str]], start: int) -> int:
    """Upsert some rows; a bad one is an error of the job and the rest is imported."""
    job = current_job()
    good = []
    for number, row in enumerate(rows, start + 1):
        try:
            good.append(parse(row))
        except (KeyError, ValueError, TypeError) as error:
            job.error(f"row {number} is not imported: {error}", icao=row.get("icao"))
    if good:
        with database().begin() as connection:
            statement = insert(airport).values(good)
            changes = {name: statement.excluded[name] for name in FIELDS if name != "icao"}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["icao"], set_=changes)
            )
    job.progress(len(rows), len(rows))
    return len(good)


def parse(row: dict[str, str]) -> dict[str, Any]:
    """Check one row; raises ValueError with what is wrong."""
    parsed: dict[str, Any] = {name: (row.get(name) or "").strip() or None for name in FIELDS}
    for name in ("icao", "name", "country"):
        if parsed[name] is None:
            raise ValueError(f"it has no {name}")
    parsed["elevation"] = float(row["elevation"]) if row.get("elevation") else None
    for name, limit in (("lat", 90), ("lon", 180)):
        parsed[name] = float(row[name])
        if not abs(parsed[name]) <= limit:
            raise ValueError(f"{name} {row[name]} is not between -{limit} and {limit}")
    return parsed


# -- export ----------------------------------------------------------------------------------


@app.task(restartable=True, label=lambda path, **_: f"Export airports to {Path(path).name}")
def export_records(path: str, batch: int = 250, pause: float = 0.0) -> int:
    """Write all airports to a CSV, in the order of their codes.

    The checkpoint is (last code, length of the file, rows), saved when those bytes are on disk:
    what a stopped or killed attempt wrote behind it is cut off.
    """
    job = current_job()
    part = Path(f"{path}.part")
    state = job.state or {"after": "", "length": 0, "rows": 0}
    with part.open("r+b" if part.exists() else "w+b") as file:
        file.truncate(state["length"])
        file.seek(0, os.SEEK_END)
        while rows := next_airports(state["after"], batch):
            write_rows(file, rows, header=state["length"] == 0)
            file.flush()
            os.fsync(file.fileno())
            state = {
                "after": rows[-1].icao,
                "length": file.tell(),
                "rows": state["rows"] + len(rows),
            }
            job.progress(state["rows"], count_airports(), f"up to {state['after']}")
            job.checkpoint(state)
            time.sleep(pause)
    part.replace(path)
    return int(state["rows"])


def count_airports() -> int:
    with database().connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(airport)) or 0


def next_airports(after: str, limit: int) -> list[Any]:
    query = sa.select(airport).where(airport.c.icao > after).order_by(airport.c.icao)
    with database().connect() as connection:
        return list(connection.execute(query.limit(limit)))


def write_rows(file: Any, rows: list[Any], *, header: bool) -> None:
    lines = csv.writer(_Utf8(file), lineterminator="\n")
    if header:
        lines.writerow(FIELDS)
    lines.writerows(rows)


class _Utf8:
    """csv writes text, the file keeps count of bytes."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return int(self._file.write(text.encode("utf-8")))


# -- action ----------------------------------------------------------------------------------


@app.task(restartable=True, label="Find nearest neighbours")
def execute_action(countries: list[str] | None = None) -> int:
    """Find the nearest airport of each airport in its country; one child for each country."""
    with database().connect() as connection:
        known = connection.scalars(
            sa.select(airport.c.country).distinct().order_by(airport.c.country)
        ).all()
    wanted = [country for country in known if countries is None or country in countries]
    for country in current_job().iterate(wanted):
        rank_country.delay(country)
    return len(wanted)


@app.task(label=lambda country: f"Nearest neighbours in {country}")
def rank_country(country: str) -> int:
    """Rank a country; a large one in blocks, each a child."""
    places = places_of(country)
    if len(places) <= BLOCK:
        return rank(country, 0, len(places))
    for start in current_job().iterate(range(0, len(places), BLOCK)):
        rank_block.delay(country, start, min(start + BLOCK, len(places)))
    return len(places)


@app.task(label=lambda country, start, end: f"{country} {start + 1} to {end}")
def rank_block(country: str, start: int, end: int) -> int:
    return rank(country, start, end)


def places_of(country: str) -> list[tuple[str, float, float]]:
    query = sa.select(airport.c.icao, airport.c.lat, airport.c.lon).where(
        airport.c.country == country
    )
    with database().connect() as connection:
        rows = connection.execute(query.order_by(airport.c.icao)).all()
    return [(row.icao, math.radians(row.lat), math.radians(row.lon)) for row in rows]


def rank(country: str, start: int, end: int) -> int:
    """Keep the nearest neighbour of some airports of a country."""
    places = places_of(country)
    found = [
        {"icao": place[0], "nearest": other, "km": km}
        for place in current_job().iterate(places[start:end])
        for other, km in nearest(place, places)
    ]
    if found:
        with database().begin() as connection:
            statement = insert(neighbour).values(found)
            changes = {name: statement.excluded[name] for name in ("nearest", "km")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["icao"], set_=changes)
            )
    return len(found)


def nearest(
    place: tuple[str, float, float], places: list[tuple[str, float, float]]
) -> Iterator[tuple[str, float]]:
    """Yield the nearest other place, by the haversine formula; nothing for the only one."""
    code, lat, lon = place
    cos_lat, best = math.cos(lat), (math.inf, "")
    for other, other_lat, other_lon in places:
        if other == code:
            continue
        half = (
            math.sin((other_lat - lat) / 2) ** 2
            + cos_lat * math.cos(other_lat) * math.sin((other_lon - lon) / 2) ** 2
        )
        best = min(best, (half, other))
    if best[1]:
        yield best[1], round(2 * EARTH_RADIUS * math.asin(math.sqrt(min(1.0, best[0]))), 3)


# -- events, upkeep, and what can go wrong ---------------------------------------------------


@app.task(stoppable=False, label=lambda event: f"Event {event.get('name', '?')}")
def handle_event(event: dict[str, Any]) -> str:
    """Handle an event of an outside service; it must not be cut off in the middle."""
    seconds = float(event.get("seconds", 3))
    for step in range(10):
        time.sleep(seconds / 10)
        current_job().progress(step + 1, 10)
    return str(event.get("name"))


@app.task(system=True, label="Refresh links")
def refresh_links() -> int:
    """Drop neighbours whose airport is gone."""
    gone = neighbour.c.nearest.not_in(sa.select(airport.c.icao))
    with database().begin() as connection:
        return connection.execute(sa.delete(neighbour).where(gone)).rowcount


@app.task(label="Close the books")
def close_books() -> None:
    raise LookupError(f"there is no ledger for {datetime.now(UTC):%B}")


@app.task(bind=True, max_retries=5, label="Ask a service that is often away")
def ask_service(self: Task, failures: int = 2) -> str:
    if self.request.retries < failures:
        raise self.retry(countdown=5, exc=ConnectionError("the service is away"))
    return f"answered at try {self.request.retries + 1}"


@app.task(label="Endless loop")
def endless_loop() -> None:
    """Never reach a checkpoint: only a force stop ends it."""
    while True:
        math.sqrt(time.monotonic())


def dispatch_demo(directory: Path) -> str:
    """Dispatch what `make demo` shows; the id of the import."""
    create_tables()
    bad = directory / "airports-with-errors.csv"
    bad.write_text(
        "icao,name,country,lat,lon\n"
        "XX01,Good Field,XX,1.5,2.5\n,No Code,XX,0,0\nXX03,Off the Map,XX,95,0\n"
    )
    with monitor.acting("alice"):
        imported = import_records.delay()
        import_records.apply_async((str(bad),), label="Import a file with errors")
        export_records.apply_async(
            (str(directory / "airports.csv"),), {"batch": 250, "pause": 0.2}, countdown=12
        )
    with monitor.acting("bob"):
        execute_action.apply_async((["DE", "FR", "GB", "BR", "IS"],), countdown=10)
        close_books.delay()
        ask_service.delay()
        close_books.apply_async(countdown=SECONDS_A_DAY, label="Close the books tomorrow")
        execute_action.apply_async((["US"],), countdown=12, low_priority=True)
    return str(imported.id)
