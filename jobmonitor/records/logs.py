"""What jobs log: lines appended by the process that runs them, read in pages by their id.

Runs in: pool children (append); panel, command line, whoever asks (the rest).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from jobmonitor.errors import JobNotFound, QueryRefused
from jobmonitor.records.database import Database
from jobmonitor.records.queries import check_limit
from jobmonitor.records.tables import job, job_log
from jobmonitor.redaction import storable
from jobmonitor.states import FINAL

LIMIT_MAX = 1_000
LEVEL_MAX = 32_767
_ID_MAX = 2**63 - 1
#: lines may be a little older than their job, or ahead of now, where a clock was set
_SLACK = timedelta(hours=1)
#: lines may be made after the end, by Celery's tail and by threads of the job
_AFTERWARDS = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line as it was logged; `made` is a moment of time.monotonic()."""

    job_id: str
    run: int
    attempt: int
    made: float
    level: int
    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a job's log."""

    id: int
    at: datetime
    run: int
    attempt: int
    level: int
    level_name: str
    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines, and the cursor behind them; None at the end."""

    lines: list[LogLine]
    cursor: str | None


class Logs:
    """The logs of the jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, lines: Sequence[NewLine], now: float) -> None:
        """Write lines in this order, where their attempts are still the jobs' current ones."""
        columns = {
            "job_ids": [line.job_id for line in lines],
            "runs": [line.run for line in lines],
            "attempts": [line.attempt for line in lines],
            "ages": [max(0.0, now - line.made) for line in lines],
            "levels": [line.level for line in lines],
            "loggers": [line.logger for line in lines],
            "messages": [line.message for line in lines],
        }
        self._database.rows("append_log", columns)

    def page(
        self,
        job_id: str,
        *,
        level: int | str | None = None,
        q: str | None = None,
        newest_first: bool = True,
        cursor: str | None = None,
        limit: int = 200,
    ) -> LogPage:
        """Read lines of all runs of a job, in the order of their ids, from behind `cursor`.

        `level` is the least one, by name or number; `q` is a text that the message contains.
        The id of a line is the cursor behind it, in both orders. Raises JobNotFound, and
        QueryRefused for a level, a limit or a cursor that makes no sense.
        """
        check_limit(limit, LIMIT_MAX)
        query = select(job_log).where(*_conditions(level, q))
        order = job_log.c.id.desc() if newest_first else job_log.c.id
        if cursor is not None:
            place = _place(cursor)
            query = query.where(job_log.c.id < place if newest_first else job_log.c.id > place)
        rows = self._rows(job_id, query.order_by(order).limit(limit + 1))
        lines = [_line(row) for row in rows[:limit]]
        return LogPage(lines, str(lines[-1].id) if len(rows) > limit else None)

    def last_line_id(self, job_id: str) -> int | None:
        """Read the id of the newest line, to see whether there is more; None: no line."""
        row = self._database.row("last_line", {"id": storable(job_id)})
        return row.id if row else None

    def _rows(self, job_id: str, query: Select[Any]) -> Sequence[Any]:
        """Run a query in the partitions of the days in which the job lived."""
        asked, job_id = job_id, storable(job_id)
        life = select(
            job.c.created_at, job.c.finished_at, job.c.status,
            func.clock_timestamp().label("now"),
        )  # fmt: skip
        with self._database.reading() as connection:
            found = connection.execute(life.where(job.c.id == job_id)).one_or_none()
            if found is None:
                raise JobNotFound(asked)
            until = found.now + _SLACK
            if found.status in FINAL and found.finished_at is not None:
                until = min(until, found.finished_at + _AFTERWARDS)
            days = job_log.c.at.between(found.created_at - _SLACK, until)
            query = query.where(job_log.c.job_id == job_id, days)
            return connection.execute(query).all()


def level_number(level: int | str) -> int:
    """Return the number of a level that is given by name or number; raises QueryRefused."""
    names = logging.getLevelNamesMapping()
    text = str(level).strip()
    if text.upper() in names:
        return names[text.upper()]
    if not (text.isascii() and text.isdigit() and int(text) <= LEVEL_MAX):
        known = "DEBUG, INFO, WARNING, ERROR, CRITICAL"
        raise QueryRefused(f"level must be {known} or a number, not {text[:50]!r}")
    return int(text)


def _conditions(level: int | str | None, q: str | None) -> Iterator[Any]:
    if level is not None:
        yield job_log.c.level >= level_number(level)
    if q:
        yield job_log.c.message.icontains(storable(q), autoescape=True)


def _place(cursor: str) -> int:
    cursor = str(cursor)
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
        raise QueryRefused("this cursor was not made by this list")
    return min(int(cursor), _ID_MAX)


def _line(row: Any) -> LogLine:
    return LogLine(
        id=row.id,
        at=row.at,
        run=row.run,
        attempt=row.attempt,
        level=row.level,
        level_name=logging.getLevelName(row.level),
        logger=row.logger,
        message=row.message,
    )
