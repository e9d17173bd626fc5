"""An app that keeps a table of airports, and adopted jobmonitor in three lines.

It imports, exports and ranks the 28,000 airports of the PyPI package airportsdata, in a schema
of its own in the Postgres that keeps the jobs. The app of `make demo`. The three lines: the
import of jobmonitor, `monitor = …`, and `app.demo = …` at the end, which only the demo needs.
"""

from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from celery import Celery, Task
from sqlalchemy.dialects.postgresql import insert

from jobmonitor import JobMonitor, current_job

EARTH_RADIUS_KM = 6371.0088
WRITTEN_AT_ONCE = 100  # rows of an import
RANKED_AT_ONCE = 20  # airports, between two safe points
BLOCK = 500  # airports that one job ranks
LOCK = 28_298  # held while tables are made, or two processes would make the same
LIMITS = {"lat": 90.0, "lon": 180.0}

app = Celery("airports", broker=os.environ.get("BROKER_URL", "fair-redis://localhost:6379/0"))
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule = {
    "refresh links": {"task": "celery_app.refresh_links", "schedule": 30.0},
}
monitor = JobMonitor(app)

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


def database() -> sa.Engine:
    """Connect to the database, whose tables are made at the first use."""
    return _engine_of(os.getpid())


@cache
def _engine_of(_: int) -> sa.Engine:
    """Make the engine of one process: a connection must not cross a fork."""
    engine = sa.create_engine(monitor.database.url, pool_size=2)
    with engine.begin() as connection:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        connection.execute(sa.schema.CreateSchema("airports", if_not_exists=True))
        metadata.create_all(connection)
    return engine


def write(table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows, or update them by their code; how many that changed."""
    if not rows:
        return 0
    statement = insert(table)
    others = [column.name for column in table.columns if not column.primary_key]
    new = {name: statement.excluded[name] for name in others}
    differs = sa.or_(*(table.c[name].is_distinct_from(new[name]) for name in others))
    upsert = statement.on_conflict_do_update(index_elements=["icao"], set_=new, where=differs)
    in_one_order = sorted(rows, key=lambda row: row["icao"])  # or two imports could deadlock
    with database().begin() as connection:
        counted = connection.execution_options(preserve_rowcount=True)
        return counted.execute(upsert, in_one_order).rowcount


# -- import: a child for each chunk, errors of single rows -----------------------------------


def read(path: str | None) -> Iterator[dict[str, str]]:
    """Read the rows of a CSV; None is the one that airportsdata ships."""
    source = path or str(resources.files("airportsdata") / "airports.csv")
    with open(source, encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield from csv.DictReader(file)


@app.task(restartable=True, label=lambda path=None, *_, **__: f"Import {file_name(path)}")
def import_records(path: str | None = None, chunk_size: int = 1000, delay: float = 0.0) -> int:
    """Import a CSV of airports, one child for each chunk; importing twice changes nothing.

    `delay` is for the eye: seconds that a child waits after each hundred rows.
    """
    total = sum(1 for _ in read(path))
    for first in current_job().iterate(range(0, total, chunk_size)):
        import_chunk.delay(path, first, chunk_size, delay)
    return total


@app.task(label=lambda path, first, count, *_: f"Import {count:,} rows from {first + 1:,} on")
def import_chunk(path: str | None, first: int, count: int, delay: float = 0.0) -> int:
    """Import some rows; how many airports that changed. A bad row is left out."""
    job = current_job()
    rows = list(islice(read(path), first, first + count))
    changed = 0
    for begin in job.iterate(range(0, len(rows), WRITTEN_AT_ONCE)):
        good = []
        for number, row in enumerate(rows[begin : begin + WRITTEN_AT_ONCE], first + begin + 1):
            try:
                good.append(checked(row))
            except ValueError as error:
                job.error(f"row {number} is not imported: {error}", icao=row.get("icao"))
        changed += write(airport, good)
        time.sleep(delay)
    print(f"{len(rows):,} rows from {first + 1:,} on: {changed:,} airports changed")
    return changed


def file_name(path: str | None) -> str:
    """Name a file for people."""
    return Path(path).name if path else "airports.csv"


def checked(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as it is stored; raises ValueError with what is wrong."""
    found: dict[str, Any] = {name: (row.get(name) or "").strip() or None for name in FIELDS}
    text = "".join(value for value in found.values() if value)
    text.encode()  # a UnicodeEncodeError is a ValueError: bytes that were not UTF-8
    if "\0" in text:
        raise ValueError("it holds a NUL")
    for name in ("icao", "name", "country"):
        if found[name] is None:
            raise ValueError(f"{name} is missing")
    if found["elevation"] is not None:
        found["elevation"] = number("elevation", found["elevation"], 100_000)
    return found | {name: number(name, found[name], most) for name, most in LIMITS.items()}


def number(name: str, text: str | None, most: float) -> float:
    """Return a number between -most and most."""
    try:
        value = float(text or "")
    except ValueError:
        raise ValueError(f"{name} {text or ''!r} is not a number") from None
    if not abs(value) <= most:
        raise ValueError(f"{name} {text} is not between -{most} and {most}")
    return value


# -- export: a checkpoint that is a place in a file -----------------------------------------


@app.task(restartable=True, label=lambda path, *_, **__: f"Export to {file_name(path)}")
def export_records(path: str, batch: int = 500, delay: float = 0.0) -> int:
    """Write all airports to a CSV in the order of their codes; how many.

    The checkpoint says how long the file is at which code, and is saved after those bytes are
    on disk: what an attempt wrote behind its last checkpoint is cut off and written again. The
    file gets its name when it is complete. `delay` is for the eye: seconds after each batch.
    """
    job = current_job()
    with database().connect() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(airport))
    part = Path(f"{path}.{job.id}.part")  # of this job: two exports never share one
    place = job.state or {"after": "", "rows": 0, "bytes": 0}
    if not part.exists() or part.stat().st_size < place["bytes"]:
        place = {"after": "", "rows": 0, "bytes": 0}  # on another machine, or it was deleted
    with part.open("ab") as file:
        file.truncate(place["bytes"])
        if not place["bytes"]:
            file.write(as_csv([FIELDS]))
        while rows := airports_after(place["after"], batch):
            file.write(as_csv(rows))
            file.flush()
            os.fsync(file.fileno())
            done = place["rows"] + len(rows)
            place = {"after": rows[-1].icao, "rows": done, "bytes": file.tell()}
            job.progress(done, max(done, total or 0), f"up to {place['after']}")
            job.checkpoint(place)
            time.sleep(delay)
    part.replace(path)
    print(f"{place['rows']:,} airports are in {path}")
    return int(place["rows"])


def airports_after(icao: str, limit: int) -> Sequence[sa.Row[Any]]:
    """Read the next airports by their code."""
    query = sa.select(airport).where(airport.c.icao > icao).order_by(airport.c.icao)
    with database().connect() as connection:
        return connection.execute(query.limit(limit)).all()


def as_csv(rows: Sequence[Sequence[Any]]) -> bytes:
    """Write rows as CSV in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


# -- action: children with children of their own, busy with numbers --------------------------

Point = tuple[float, float, float]


@app.task(restartable=True, label="Find the nearest neighbours")
def execute_action(countries: list[str] | None = None) -> int:
    """Find the nearest airport of each one in its country; one child for each country."""
    job = current_job()
    query = sa.select(airport.c.country).distinct().order_by(airport.c.country)
    with database().connect() as connection:
        known = list(connection.scalars(query))
    for country in sorted(set(countries or ()) - set(known)):
        job.error(f"there is no airport in {country}")
    wanted = [country for country in known if countries is None or country in countries]
    for country in job.iterate(wanted):
        rank_country.delay(country)
    return len(wanted)


@app.task(label=lambda country: f"Nearest neighbours in {country}")
def rank_country(country: str) -> int:
    """Rank a country, where it is large by one child for each block; how many airports."""
    count = len(points_of(country))
    if count <= BLOCK:
        return rank(country, 0, count)
    for first in current_job().iterate(range(0, count, BLOCK)):
        rank_block.delay(country, first, min(first + BLOCK, count))
    return count


@app.task(label=lambda country, first, end: f"Airports {first + 1:,} to {end:,} of {country}")
def rank_block(country: str, first: int, end: int) -> int:
    """Rank some airports of a country."""
    return rank(country, first, end)


def rank(country: str, first: int, end: int) -> int:
    """Keep the nearest neighbours of some airports of a country; how many changed."""
    points = points_of(country)
    changed = 0
    for begin in current_job().iterate(range(first, end, RANKED_AT_ONCE)):
        some = list(points)[begin : min(begin + RANKED_AT_ONCE, end)]
        changed += write(neighbour, [nearest(icao, points) for icao in some if len(points) > 1])
    return changed


def points_of(country: str) -> dict[str, Point]:
    """Read the airports of a country by code, as points on a sphere of radius 1."""
    query = sa.select(airport.c.icao, airport.c.lat, airport.c.lon).order_by(airport.c.icao)
    with database().connect() as connection:
        rows = connection.execute(query.where(airport.c.country == country)).all()
    return {row.icao: point(math.radians(row.lat), math.radians(row.lon)) for row in rows}


def point(lat: float, lon: float) -> Point:
    """Place radians on a sphere of radius 1."""
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def nearest(icao: str, points: dict[str, Point]) -> dict[str, Any]:
    """Find the nearest other airport: the great circle is shortest where the chord is."""
    codes = list(points)
    chords = list(map(math.dist, repeat(points[icao]), points.values()))
    chords[codes.index(icao)] = math.inf
    shortest = min(chords)
    km = 2 * EARTH_RADIUS_KM * math.asin(min(1.0, shortest / 2))
    return {"icao": icao, "nearest": codes[chords.index(shortest)], "km": round(km, 6)}


# -- events, upkeep, and what can go wrong ---------------------------------------------------


@app.task(stoppable=False, label=lambda event: f"Event {event.get('name', 'without a name')}")
def handle_event(event: dict[str, Any]) -> str:
    """Handle an event of an outside service (`deploy/event_producer.py`), to its end."""
    for _ in current_job().iterate(range(10)):
        time.sleep(event.get("seconds", 5.0) / 10)
    return f"{event.get('name')} is handled"


@app.task(system=True, label="Refresh links")
def refresh_links() -> int:
    """Drop the links from and to airports that are gone; beat sends it."""
    codes = sa.select(airport.c.icao)
    gone = sa.or_(neighbour.c.icao.not_in(codes), neighbour.c.nearest.not_in(codes))
    with database().begin() as connection:
        return connection.execute(sa.delete(neighbour).where(gone)).rowcount


@app.task(restartable=True, label="Report")
def send_report() -> dict[str, int]:
    """Count what there is."""
    with database().connect() as connection:
        return {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            for table in (airport, neighbour)
        }


@app.task(restartable=True, label="Close the books")
def close_books() -> None:
    """Fail."""
    raise LookupError("there is no ledger for this month")


@app.task(bind=True, max_retries=5, label="Ask a service that is often away")
def ask_service(self: Task, failures: int = 2) -> str:
    """Succeed after some retries."""
    if self.request.retries < failures:
        raise self.retry(countdown=3, exc=ConnectionError("the service is away"))
    return f"answered at try {self.request.retries + 1}"


@app.task(label="Endless loop")
def endless_loop() -> None:
    """Never reach a safe point: only a force stop ends it."""
    while True:
        time.sleep(0.1)


# -- the demo --------------------------------------------------------------------------------


def dispatch_demo(directory: Path) -> Iterator[str]:
    """Submit one job of each kind and yield what to try with them; `jobs demo` calls this."""
    files = directory / "files"
    files.mkdir(exist_ok=True)
    celery = f"celery -A {__name__}"
    with monitor.acting("alice"):
        imported = import_records.delay(delay=0.1)
        import_records.delay(str(write_bad_rows(files / "airports-with-bad-rows.csv")))
        send_report.apply_async(countdown=600, label="Report in ten minutes")
    with monitor.acting("bob"):
        close_books.delay()
        ask_service.delay()
    send_events("order-paid", "stock-low")
    yield f"{celery} jobs tree --follow {imported.id}    # the import"
    wait_for_all_of(imported.id)
    whole, slow = files / "airports-uninterrupted.csv", files / "airports.csv"
    with monitor.acting("alice"):
        export_records.delay(str(whole))
        exported = export_records.delay(str(slow), delay=0.45)
    with monitor.acting("bob"):
        execute_action.delay(["AU", "BR", "IS", "NZ"])
        execute_action.apply_async((["DE", "FR", "GB"],), low_priority=True)
    yield f"{celery} jobs stop {exported.id}    # the export; and later: resume"
    yield f"cmp {slow} {whole}    # when it is finished"
    yield f"{celery} call {__name__}.endless_loop    # stop it, then force-stop it"


def wait_for_all_of(job_id: str, within: float = 60.0) -> None:
    """Wait until a job and all below it have ended, or for a minute."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        job = monitor.jobs.get(job_id)
        if job.finished_at and not job.unfinished:
            return
        time.sleep(0.2)


def write_bad_rows(path: Path) -> Path:
    """Write a CSV of five good airports and four bad ones."""
    good = list(islice(read(None), 5))
    changes = ({"icao": ""}, {"lat": ""}, {"lon": "181"}, {"lat": "fifty"})
    bad = [row | change for row, change in zip(good, changes, strict=False)]
    rows = [[row[name] for name in FIELDS] for row in (*bad, *good)]
    path.write_bytes(as_csv([FIELDS, *rows]))
    return path


def send_events(*names: str) -> None:
    """Let a service that has no jobmonitor send events."""
    service = Path(__file__).with_name("deploy") / "event_producer.py"
    subprocess.run([sys.executable, str(service), *names], check=True, timeout=60)


app.demo = dispatch_demo
