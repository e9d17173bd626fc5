"""`/statistics`: creations and waiting times over time, as figures, chart and table.

Runs in: the web server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from flask_panel.auth import monitor
from flask_panel.login import panel_view
from jobmonitor.errors import QueryRefused
from jobmonitor.records.statistics import Statistics, shown_width
from jobmonitor.task_options import is_tracked

#: what the query calls a range: how long it is, and how people call it
RANGES = {
    "1h": (timedelta(hours=1), "1 hour"),
    "24h": (timedelta(hours=24), "24 hours"),
    "7d": (timedelta(days=7), "7 days"),
    "30d": (timedelta(days=30), "30 days"),
    "12w": (timedelta(weeks=12), "12 weeks"),
}
_USUAL = "24h"
_TYPES_MAX = 50

statistics = Blueprint("statistics", __name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for; `range` is empty where moments are given."""

    range: str
    since: str
    until: str
    types: tuple[str, ...]
    system: bool

    @classmethod
    def of(cls, query: MultiDict[str, str]) -> Asked:
        """Read an address; an unknown range is the usual one."""
        since, until = query.get("since", "").strip(), query.get("until", "").strip()
        named = query.get("range", _USUAL)
        names = dict.fromkeys(name.strip() for name in query.getlist("type") if name.strip())
        return cls(
            range="" if since or until else named if named in RANGES else _USUAL,
            since=since,
            until=until,
            types=tuple(names)[:_TYPES_MAX],
            system=query.get("system") == "1",
        )

    def link(self, **changes: Any) -> str:
        """The address of this page with some of it changed."""
        asked = replace(self, **changes)
        return url_for(
            "statistics.index",
            range=asked.range or None,
            since=asked.since or None,
            until=asked.until or None,
            type=list(asked.types),
            system="1" if asked.system else None,
        )

    def of_range(self, name: str) -> str:
        """The address of this page for one of RANGES."""
        return self.link(range=name, since="", until="")

    def without(self, name: str) -> str:
        """The address of this page without one of its types."""
        return self.link(types=tuple(kept for kept in self.types if kept != name))

    def read(self) -> Statistics:
        """Read what is asked for; raises QueryRefused."""
        since, until = _moment("from", self.since), _moment("to", self.until)
        if self.range:
            until = datetime.now(UTC)
            since = until - RANGES[self.range][0]
        return monitor().jobs.statistics(
            since=since,
            until=until,
            types=self.types,
            system=None if self.system else False,
            whole=bool(self.range),
        )


@statistics.get("/statistics")
@panel_view("viewer")
def index() -> ResponseReturnValue:
    """Show them, or say in a sentence why not."""
    asked = Asked.of(request.args)
    found, refused = None, None
    try:
        found = asked.read()
    except QueryRefused as error:
        refused = str(error)
    page = render_template(
        "statistics/index.html", asked=asked, found=found, refused=refused, ranges=RANGES,
        chart=_chart(found) if found else None, known_types=_known_types(),
        width=shown_width(found.width_seconds) if found else None,
    )  # fmt: skip
    return page, 400 if refused else 200


def _moment(name: str, text: str) -> datetime | None:
    """Read a moment, which is in UTC where it does not say its zone."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryRefused(f"“{name}” is no moment like 2026-01-31T12:00: {text!r}") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _known_types() -> list[str]:
    tasks = monitor().app.tasks
    return sorted(name for name, task in tasks.items() if is_tracked(name, task))


def _chart(found: Statistics) -> dict[str, Any]:
    """The table's numbers in columns; moments in seconds since 1970."""
    buckets = found.buckets
    return {
        "width": found.width_seconds,
        "start": [int(bucket.start.timestamp()) for bucket in buckets],
        "creations": [bucket.creations for bucket in buckets],
        "average": [bucket.average_waiting_seconds for bucket in buckets],
        "minimum": [bucket.minimum_waiting_seconds for bucket in buckets],
        "maximum": [bucket.maximum_waiting_seconds for bucket in buckets],
    }
