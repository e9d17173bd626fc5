"""What a page's address says about which jobs it shows.

Runs in: the web server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from werkzeug.datastructures import MultiDict

from jobmonitor.states import Status

_TEXT_MAX = 500
_EITHER: Mapping[str, bool] = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class ListFilters:
    """The filters of the list, as a person set them; what makes no sense is left out."""

    status: tuple[str, ...]
    errors: str
    low_priority: str
    type: str
    run_by: str
    q: str
    system: bool

    @classmethod
    def of(cls, args: MultiDict[str, str]) -> ListFilters:
        """Read them from the query of an address."""
        known = {status.value for status in Status}
        return cls(
            status=tuple(s for s in args.getlist("status") if s in known),
            errors=_one_of(_EITHER, args.get("errors")),
            low_priority=_one_of(_EITHER, args.get("low_priority")),
            type=_text(args, "type"),
            run_by=_text(args, "run_by"),
            q=_text(args, "q"),
            system=args.get("system") == "1",
        )

    @property
    def are_set(self) -> bool:
        """Whether anything is filtered."""
        return any(
            (self.status, self.errors, self.low_priority, self.type, self.run_by, self.q)
        )

    def as_query(self) -> dict[str, Any]:
        """The keywords of `monitor.jobs.find`."""
        return {
            "status": self.status,
            "has_errors": _EITHER.get(self.errors),
            "low_priority": _EITHER.get(self.low_priority),
            "type": (self.type,) if self.type else (),
            "run_by": self.run_by or None,
            "q": self.q or None,
            "system": None if self.system else False,
        }

    def as_args(self) -> dict[str, Any]:
        """The query of an address that shows the same."""
        given = {
            "status": list(self.status), "errors": self.errors, "type": self.type,
            "low_priority": self.low_priority, "run_by": self.run_by, "q": self.q,
            "system": "1" if self.system else "",
        }  # fmt: skip
        return {name: value for name, value in given.items() if value}


def _one_of(known: Mapping[str, bool], value: str | None) -> str:
    return value if value is not None and value in known else ""


def _text(args: MultiDict[str, str], name: str) -> str:
    return args.get(name, "").strip()[:_TEXT_MAX]


@dataclass(frozen=True, slots=True)
class LogFilters:
    """Which lines of a log are shown, and from which end."""

    LEVELS: ClassVar = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

    level: str
    text: str
    newest_first: bool
    cursor: str

    @classmethod
    def of(cls, args: MultiDict[str, str]) -> LogFilters:
        """Read them from the query of an address."""
        level = args.get("level", "").upper()
        return cls(
            level=level if level in cls.LEVELS else "",
            text=_text(args, "text"),
            newest_first=args.get("order") != "oldest",
            cursor=_text(args, "lines"),
        )

    @property
    def are_set(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.level or self.text)

    def as_query(self) -> dict[str, Any]:
        """The keywords of `monitor.jobs.logs`."""
        return {
            "level": self.level or None, "q": self.text or None,
            "newest_first": self.newest_first, "cursor": self.cursor or None,
        }  # fmt: skip

    def as_args(self) -> dict[str, str]:
        """The query of an address that shows the same, from its begin."""
        order = "" if self.newest_first else "oldest"
        given = {"level": self.level, "text": self.text, "order": order}
        return {name: value for name, value in given.items() if value}
