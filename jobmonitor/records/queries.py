"""Reads for people and programs: a job, pages of jobs, a tree, events.

Runs in: panel, command line, whoever asks. Keyset pages by (created_at, id); no OFFSET and no
count over a large table.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, null, or_, select, tuple_

from jobmonitor.errors import QueryRefused
from jobmonitor.records.database import Database
from jobmonitor.records.job_view import Below, JobView, view_of
from jobmonitor.records.tables import job, job_children, job_event, job_run
from jobmonitor.redaction import storable
from jobmonitor.settings import shown
from jobmonitor.states import FINAL, Descendants, Standing, Status

LIMIT_MAX = 500
TREE_MAX = 5_000
_TREE_DEFAULT = 1_000
#: not read for lists: a checkpoint may be as large as checkpoint_max
_LARGE = ("checkpoint", "traceback")
#: for filters that may look at every row: a page asks again every few seconds
_SECONDS_MAX = 10.0
_counters = (
    "total", "finished", "with_errors",
    "descendants_total", "descendants_finished", "descendants_with_errors",
)  # fmt: skip
_MOMENTS = tuple(f"{when}_{end}" for when in ("created", "started", "finished")
                 for end in ("from", "to"))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs a page shows; None means any. Times are aware datetimes."""

    status: Sequence[str] = ()
    type: Sequence[str] = ()
    has_errors: bool | None = None
    low_priority: bool | None = None
    system: bool | None = None
    run_by: str | None = None
    root: str | None = None
    parent: str | None = None
    q: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None
    finished_from: datetime | None = None
    finished_to: datetime | None = None
    roots_only: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and the cursors behind and before them; None at the end, and at the begin."""

    jobs: list[JobView]
    cursor: str | None
    newer: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A job's root and the facts that decide what may be done to it."""

    root_id: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Node:
    """A job in its tree; depth 0 is the one that was asked for."""

    depth: int
    job: JobView


class Queries:
    """Reads over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str, *, walk_max: int | None = None) -> JobView | None:
        """Read one job with all its fields, or None.

        What may be done to it depends on its unfinished descendants too; with `walk_max` they
        are looked at only where they are fewer, or the job itself is at its end.
        """
        rows = self._run(_one_job(), wanted=storable(job_id))
        views = self._views(rows, walk_max=walk_max, whole=True)
        return views[0] if views else None

    def find(self, filters: Filters, *, cursor: str | None = None, limit: int = 50) -> Page:
        """Read a page of jobs, newest first, behind or before a cursor of an earlier page.

        A list holds no checkpoint and no traceback: these are read with `get`.
        Raises QueryRefused for a cursor, a status or a limit that makes no sense, and where
        filters find too little in too much: after 10 s.
        """
        check_limit(limit, LIMIT_MAX)
        place = None if cursor is None else _position(cursor)
        up = place is not None and place.newer
        query = _jobs().where(*_conditions(filters)).limit(limit + 1)
        here = tuple_(job.c.created_at, job.c.id)
        if place is not None:
            query = query.where(here > place.key if up else here < place.key)
        order = (job.c.created_at, job.c.id)
        query = query.order_by(*(order if up else (column.desc() for column in order)))
        found = self._run(query, limit=_SECONDS_MAX if _searches(filters) else None)
        more, rows = len(found) > limit, found[:limit]
        rows = rows[::-1] if up else rows
        return Page(
            self._views(rows),
            cursor=_cursor(rows[-1]) if rows and (more or up) else None,
            newer=_cursor(rows[0], newer=True)
            if rows and (more if up else place is not None)
            else None,
        )

    def some(self, ids: Sequence[str]) -> list[JobView]:
        """Read these jobs, those that there are, in any order."""
        return self._views(self._run(_jobs().where(job.c.id.in_(map(storable, ids)))))

    def children(self, job_id: str, *, cursor: str | None = None, limit: int = 50) -> Page:
        """Read the children of all runs of a job, newest first."""
        return self.find(Filters(parent=job_id, roots_only=False), cursor=cursor, limit=limit)

    def tree(self, job_id: str, *, limit: int = _TREE_DEFAULT) -> list[Node]:
        """Read a job and its descendants depth first, at most `limit` of them."""
        check_limit(limit, TREE_MAX)
        facts = {"id": storable(job_id), "limit": limit}
        places = self._database.rows("outline", facts)
        rows = self._run(_jobs().where(job.c.id.in_([place.id for place in places])))
        views = {view.id: view for view in self._views(rows)}
        return [Node(place.depth, views[place.id]) for place in places if place.id in views]

    def events(self, job_id: str, *, limit: int = 200) -> list[dict[str, Any]]:
        """Read the newest entries of a job's audit, oldest first."""
        query = select(job_event).where(job_event.c.job_id == storable(job_id))
        rows = self._run(query.order_by(job_event.c.id.desc()).limit(limit))
        return [_without(row, "id", "job_id") for row in reversed(rows)]

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """Read the earlier runs of a job, oldest first."""
        query = (
            select(job_run).where(job_run.c.job_id == storable(job_id)).order_by(job_run.c.run)
        )
        return [_without(row, "job_id") for row in self._run(query)]

    def standing(self, job_id: str) -> Found | None:
        """Read the facts that decide which operations fit a job."""
        view = self.get(job_id)
        return None if view is None else Found(view.root_id, view.standing)

    def _views(
        self, rows: Sequence[Row[Any]], *, walk_max: int | None = 0, whole: bool = False
    ) -> list[JobView]:
        """Make views; a list looks below a job only where the job itself is at its end.

        Below others at most `walk_max` descendants are looked at, None: however many.
        """
        looked_at = [
            row for row in rows
            if _is_open_below(row) and (
                row.is_group or row.status in FINAL
                or walk_max is None or row.open_below < walk_max
            )
        ]  # fmt: skip
        below = self._below(looked_at)
        seen = {row.id for row in looked_at}
        ended = [row.id for row in looked_at if row.id not in below and _was_open_below(row)]
        newer = self._read_again(ended, whole=whole)
        return [
            view_of(newer.get(row.id, row), below.get(row.id, []) if row.id in seen else None)
            for row in rows
        ]

    def _read_again(self, ids: Sequence[str], *, whole: bool) -> Mapping[str, Row[Any]]:
        """Read jobs below which all ended since, so that their counters say so too."""
        query = _jobs(whole=whole).where(job.c.id.in_(ids))
        return {row.id: row for row in self._run(query)} if ids else {}

    def _below(self, parents: Sequence[Row[Any]]) -> Mapping[str, list[Below]]:
        """Count the unfinished descendants of these jobs by status, in one statement."""
        busy = [row.id for row in parents]
        counts: dict[str, list[Below]] = {}
        if busy:
            for row in self._database.rows("below", {"ids": busy}):
                some = Below(
                    Descendants(Status(row.status), row.guarded, row.low), row.jobs, row.of_run
                )
                counts.setdefault(row.top, []).append(some)
        return counts

    def _run(
        self, query: Select[Any], *, limit: float | None = None, **parameters: Any
    ) -> Sequence[Row[Any]]:
        with self._database.reading(limit=limit) as connection:
            return connection.execute(query, parameters).all()


@cache
def _one_job() -> Select[Any]:
    """Select the job whose id is the parameter `wanted`.

    Made once, like what it is made of: to make a statement takes longer than to run it.
    """
    return _jobs(whole=True).where(job.c.id == bindparam("wanted"))


@cache
def _jobs(*, whole: bool = False) -> Select[Any]:
    """Select jobs with their counters; in a list without what only one job's page shows."""
    count = job_children.c
    of_run = count.run == job.c.run
    left = count.descendants_total - count.descendants_finished
    counters = (
        select(
            *(_sum(func.sum(count[name]).filter(of_run)).label(name) for name in _counters),
            _sum(func.sum(left)).label("open_below"),
        )
        .where(count.job_id == job.c.id)
        .lateral("counters")
    )
    columns = [null().label(c.name) if c.name in _LARGE and not whole else c for c in job.c]
    return select(
        *columns,
        (job.c.type == "group").label("is_group"),
        func.job_seconds_since(job.c.waiting_since).label("waiting_now"),
        func.job_seconds_since(job.c.running_since).label("running_now"),
        *(counters.c[name].label(f"children_{name}") for name in _counters),
        counters.c.open_below,
    ).select_from(job.join(counters, onclause=job.c.id.is_not(None)))


def _sum(summed: Any) -> Any:
    return func.coalesce(summed, 0)


def _is_open_below(row: Row[Any]) -> bool:
    """Whether something below may be unfinished; a root's counters, of all runs, know it."""
    return bool(row.open_below if row.parent_id is None else row.children_total)


def _was_open_below(row: Row[Any]) -> bool:
    if row.parent_id is None:
        return bool(row.open_below)
    return bool(row.children_finished < row.children_total)


def check_limit(limit: Any, most: int) -> None:
    """Raise QueryRefused for a number of rows that makes no sense."""
    if not isinstance(limit, int) or not 1 <= limit <= most:
        raise QueryRefused(f"limit must be 1 to {most}, not {shown(limit)}")


def _conditions(filters: Filters) -> list[Any]:
    _check_types(filters)
    for status in filters.status:
        if status not in set(Status):
            raise QueryRefused(f"there is no status {status!r}; they are {', '.join(Status)}")
    return [*_places(filters), *_facts(filters), *_times(filters)]


def _check_types(filters: Filters) -> None:
    """Refuse a filter that Postgres could not compare with its column."""
    for name in ("has_errors", "low_priority", "system"):
        value = getattr(filters, name)
        if value is not None and not isinstance(value, bool):
            raise QueryRefused(f"{name} must be True or False, not {shown(value)}")
    for name in _MOMENTS:
        value = getattr(filters, name)
        if value is not None and not (isinstance(value, datetime) and value.tzinfo):
            raise QueryRefused(f"{name} must be a datetime with a zone, not {shown(value)}")
    for name in ("status", "type"):
        if isinstance(getattr(filters, name), str):
            raise QueryRefused(f"{name} must be a list, not {shown(getattr(filters, name))}")


def _searches(filters: Filters) -> bool:
    """Whether many rows may be looked at for one that is shown, system jobs apart."""
    filters = replace(filters, system=None)
    return any(True for conditions in (_facts, _times) for _ in conditions(filters))


def _places(filters: Filters) -> Iterator[Any]:
    if filters.root is not None:
        yield job.c.root_id == storable(filters.root)
    if filters.parent is not None:
        yield job.c.parent_id == storable(filters.parent)
    elif filters.root is None and filters.roots_only:
        yield job.c.parent_id.is_(None)


def _facts(filters: Filters) -> Iterator[Any]:
    if filters.status:
        yield job.c.status.in_(filters.status)
    if filters.type:
        yield job.c.type.in_([storable(name) for name in filters.type])
    if filters.run_by is not None:
        yield job.c.run_by == storable(filters.run_by)
    for name in ("has_errors", "low_priority", "system"):
        value = getattr(filters, name)
        if value is not None:
            yield job.c[name] == value
    if filters.q:
        yield _text(filters.q)


def _times(filters: Filters) -> Iterator[Any]:
    for name in ("created", "started", "finished"):
        column = job.c[f"{name}_at"]
        earliest, latest = getattr(filters, f"{name}_from"), getattr(filters, f"{name}_to")
        if earliest:
            yield column >= earliest
        if latest:
            yield column < latest


def _text(wanted: str) -> Any:
    wanted = storable(wanted)
    columns = (job.c.label, job.c.type, job.c.id, job.c.run_by)
    return or_(*(column.icontains(wanted, autoescape=True) for column in columns))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: behind a job, or before it."""

    key: Any
    newer: bool


def _position(cursor: str) -> _Place:
    try:
        created_at, job_id, *newer = json.loads(base64.urlsafe_b64decode(str(cursor).encode()))
        key = tuple_(datetime.fromisoformat(created_at), storable(str(job_id)))
        return _Place(key, newer == ["newer"])
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise QueryRefused("this cursor was not made by this list") from error


def _cursor(row: Row[Any], *, newer: bool = False) -> str:
    place = [row.created_at.isoformat(), row.id, *(["newer"] if newer else [])]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _without(row: Row[Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name not in names}
