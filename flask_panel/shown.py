"""How values are shown to people: durations, moments, what is unknown.

Runs in: the web server, as filters of the templates.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup

from flask_panel.outcomes import stop_advice
from jobmonitor.redaction import storable
from jobmonitor.states import Status

UNKNOWN = "—"


def register_shown(app: Flask) -> None:
    """Give the templates these filters."""
    app.jinja_env.filters.update(
        seconds=seconds, moment=moment, percent=percent, pretty=pretty, number=number,
        status_word=status_word, stop_advice=stop_advice,
    )  # fmt: skip
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def seconds(value: float | None) -> str:
    """Show a duration as people read it; `panel.js` counts on in the same form."""
    if value is None:
        return UNKNOWN
    if value < 59.95:
        return f"{value:.1f} s"
    if round(value) < 3_600:
        return "{} min {:02} s".format(*divmod(round(value), 60))
    minutes = round(value / 60)
    if minutes < 1_440:
        return "{} h {:02} min".format(*divmod(minutes, 60))
    return "{:,} d {:02} h".format(*divmod(round(value / 3_600), 24))


def moment(value: datetime | None) -> Markup | str:
    """Show a moment: UTC, until `panel.js` puts it into the viewer's zone; UTC on hover."""
    if value is None:
        return UNKNOWN
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    )


def percent(value: float | None) -> str:
    """Show how far something is; unknown is not 0 %."""
    return UNKNOWN if value is None else f"{value:g} %"


def number(value: float | None) -> str:
    """Show a number with separators."""
    return UNKNOWN if value is None else f"{value:,}"


def status_word(value: str) -> str:
    """Show a status that is kept as a text."""
    return Status(value).shown if value in set(Status) else value


def pretty(value: Any) -> str:
    """Show a JSON value over several lines; a text as it is.

    JSON may hold half a surrogate pair, which a page cannot.
    """
    if isinstance(value, str):
        return storable(value)
    return storable(json.dumps(value, indent=2, ensure_ascii=False))
