"""Statistics over time: how many jobs were created, and how long they waited before a start.

Runs in: panel, command line, whoever asks. Read from the rows in one statement; what counts
where stands in `sql/statistics.sql`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from jobmonitor.errors import QueryRefused
from jobmonitor.records.database import Database, statement
from jobmonitor.records.job_view import in_utc
from jobmonitor.redaction import storable

MINUTE, HOUR, DAY = 60, 3_600, 86_400
#: seconds of a bucket; each divides the next, so that an hour never lies in two buckets
WIDTHS = (
    MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 12 * HOUR, DAY, 7 * DAY,
)  # fmt: skip
BUCKETS_MAX = 500
_BUCKETS_CHOSEN = 120
_RANGE = timedelta(days=1)
#: a Monday, midnight: from here buckets are counted
_ORIGIN = datetime(2001, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)
_TIMEOUT = 15.0
_UNITS = ((7 * DAY, "week"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Creations, and the waits that ended; without a start there is no waiting time (None)."""

    creations: int
    starts: int
    average_waiting_seconds: float | None
    minimum_waiting_seconds: float | None
    maximum_waiting_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket(Figures):
    """The figures of one stretch of time, from `start` on."""

    start: datetime


@dataclass(frozen=True, slots=True)
class Statistics:
    """A range in buckets without a gap, and its figures as a whole.

    Only what happened in [since, until) is counted, so the outer buckets may be cut.
    """

    since: datetime
    until: datetime
    width_seconds: int
    buckets: tuple[Bucket, ...]
    total: Figures

    def as_json(self) -> dict[str, Any]:
        """The fields of the API, in their order; times in ISO 8601, UTC."""
        return {
            "since": in_utc(self.since),
            "until": in_utc(self.until),
            "bucket_seconds": self.width_seconds,
            "total": _plain(self.total),
            "buckets": [
                {"start": in_utc(bucket.start), **_plain(bucket)} for bucket in self.buckets
            ],
        }


def read_statistics(
    database: Database,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    types: Sequence[str] = (),
    system: bool | None = False,
    width: int | None = None,
    whole: bool = False,
    timeout: float = _TIMEOUT,
) -> Statistics:
    """Read the statistics of [since, until), by default of the last 24 hours.

    `types` are names of tasks, none means all; `system` None means with system jobs. `width` is
    one of WIDTHS, chosen by the range where it is not given; `whole` begins the range with its
    first bucket, so that none looks low that is only cut. Raises QueryRefused for a range or a
    width that makes no sense, and where the answer takes longer than `timeout` seconds: it
    reads every row created before `until`, 1,000,000 of them in 0.2 s (24 h) to 1 s (30 d).
    """
    now = datetime.now(UTC)
    until = now if until is None else until
    _check_moment("until", until, now)
    since = until - _RANGE if since is None else since
    _check_moment("since", since, now)
    _check_range(since, until, now)
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    width = _checked_width(since, until, width)
    starts = _starts(since, until, timedelta(seconds=width))
    since = starts[0] if whole else since
    facts = {
        "since": since,
        "until": until,
        "types": [storable(name) for name in types] or None,
        "system": system,
        "width": timedelta(seconds=width),
        "origin": _ORIGIN,
    }
    rows = {row.start: row for row in _rows(database, facts, timeout)}
    buckets = tuple(
        Bucket(start=start, **_figures([rows[start]] if start in rows else []))
        for start in starts
    )
    return Statistics(since, until, width, buckets, Figures(**_figures(rows.values())))


def shown_width(seconds: int) -> str:
    """Say a width or a span in the largest unit that fits: "15 minutes", "1 day"."""
    size, unit = next(
        (size, unit) for size, unit in _UNITS if seconds % size == 0 or unit == "minute"
    )
    number = max(1, round(seconds / size))
    return f"{number:,} {unit}" + ("" if number == 1 else "s")


def _rows(database: Database, facts: Mapping[str, Any], timeout: float) -> list[Any]:
    """Run the statement, planned for this very range, with a time limit of its own."""
    limit = f"{round(timeout * 1_000)}ms"
    with database.connection() as connection:
        try:
            with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as at:
                at.execute("SELECT set_config('statement_timeout', %s, true)", (limit,))
                at.execute(statement("statistics"), facts, prepare=False)
                return at.fetchall()
        except psycopg.errors.QueryCanceled as error:
            raise QueryRefused(
                f"the statistics of this range were not there after {timeout:g} s: "
                "narrow the range"
            ) from error


def _check_moment(name: str, moment: datetime, now: datetime) -> None:
    if moment.utcoffset() is None:
        raise QueryRefused(f"{name} needs a time zone: {moment.isoformat()}")
    if moment < _ORIGIN:
        raise QueryRefused(f"{name} is before {_ORIGIN.year}: {moment.isoformat()}")
    if moment - now > _AHEAD:
        raise QueryRefused(f"{name} is in the future: {moment.isoformat()}")


def _check_range(since: datetime, until: datetime, now: datetime) -> None:
    if since >= until:
        raise QueryRefused(
            f"since must be before until: {since.isoformat()} is not before {until.isoformat()}"
        )
    if since > now:
        raise QueryRefused(f"since is in the future: {since.isoformat()}")
    if until - since < timedelta(seconds=WIDTHS[0]):
        raise QueryRefused(f"a range has at least {shown_width(WIDTHS[0])}")


def _checked_width(since: datetime, until: datetime, width: int | None) -> int:
    if width is not None and width not in WIDTHS:
        known = ", ".join(map(str, WIDTHS))
        raise QueryRefused(f"there are no buckets of {width} s; they have {known} s")
    span = (until - since).total_seconds()
    chosen = width or next((w for w in WIDTHS if span <= w * _BUCKETS_CHOSEN), WIDTHS[-1])
    number = len(_starts(since, until, timedelta(seconds=chosen)))
    if number > BUCKETS_MAX:
        widen = "" if chosen == WIDTHS[-1] else " or widen the buckets"
        raise QueryRefused(
            f"this range has {number:,} buckets of {shown_width(chosen)}; at most "
            f"{BUCKETS_MAX} are shown: narrow the range{widen}"
        )
    return chosen


def _starts(since: datetime, until: datetime, width: timedelta) -> Sequence[datetime]:
    """The starts of all buckets that the range touches."""
    first = (since - _ORIGIN) // width
    behind = -((_ORIGIN - until) // width)
    return [_ORIGIN + number * width for number in range(first, behind)]


def _figures(rows: Iterable[Any]) -> dict[str, Any]:
    """Add up rows of the statement; an average is weighted by the starts."""
    rows = list(rows)
    begun = [row for row in rows if row.starts]
    starts = sum(row.starts for row in begun)
    waited = sum(row.waited for row in begun)
    return {
        "creations": sum(row.creations for row in rows),
        "starts": starts,
        "average_waiting_seconds": round(waited / starts, 3) if starts else None,
        "minimum_waiting_seconds": _rounded(min, [row.shortest for row in begun]),
        "maximum_waiting_seconds": _rounded(max, [row.longest for row in begun]),
    }


def _rounded(choose: Any, values: list[float]) -> float | None:
    return round(choose(values), 3) if values else None


def _plain(figures: Figures) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in Figures.__slots__}
