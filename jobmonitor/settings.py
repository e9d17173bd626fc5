"""Every setting with its default and its unit.

Runs in: every process. Times are in seconds, sizes in bytes (UTF-8).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields, replace
from typing import Any

from jobmonitor.errors import ConfigurationError

DEFAULT_DATABASE_URL = "postgresql+psycopg://localhost/jobmonitor"
DATABASE_URL_VARIABLE = "JOBMONITOR_DATABASE_URL"
_SCHEMES = ("postgresql://", "postgresql+psycopg://")
_SHOWN_MAX = 60
_SECONDS = (
    "progress_interval", "beat_interval", "lost_after", "database_patience", "claim_patience",
    "unknown_again",
)  # fmt: skip
_COUNTS = {
    "lost_max": 0, "message_max": 1, "checkpoint_max": 1, "shown_max": 100,
    "log_lines_max": 0, "log_waiting_max": 1,
}  # fmt: skip
#: more than Postgres takes as an interval or a size makes no sense in any of them
_SECONDS_MOST = 10 * 365 * 24 * 3600
_COUNT_MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; `JobMonitor(app, name=value)` takes each of these names."""

    database_url: str = DEFAULT_DATABASE_URL
    #: patterns of task names that may be restarted though their tasks do not say so
    restartable: tuple[str, ...] = ()
    #: patterns of task names that may be stopped though they are system jobs
    stoppable: tuple[str, ...] = ()
    #: patterns of argument names whose values are never shown
    redact: tuple[str, ...] = (
        "*password*", "*passwd*", "*secret*", "*token*", "*api_key*", "*apikey*",
        "*authorization*", "*credential*", "*private_key*",
    )  # fmt: skip
    #: progress and checkpoints of a running job are written at most this often
    progress_interval: float = 1.0
    #: each worker reports that it lives this often
    beat_interval: float = 5.0
    #: a worker without a beat for this long is lost
    lost_after: float = 30.0
    #: a job whose worker was lost is run again at most this many times
    lost_max: int = 3
    #: how long a finish is retried while the database is away
    database_patience: float = 300.0
    #: how long a submission or a claim is retried while the database is away
    claim_patience: float = 5.0
    #: a message of a task that a worker does not know is offered again after this long
    unknown_again: float = 30.0
    #: a larger message is refused at submission
    message_max: int = 1_000_000
    #: a larger checkpoint is refused
    checkpoint_max: int = 1_000_000
    #: shown arguments, results, errors, tracebacks and lines of logs are cut to this length
    shown_max: int = 8_192
    #: at most so many lines of an attempt's log are kept
    log_lines_max: int = 10_000
    #: at most so many lines wait in a process while the database is away
    log_waiting_max: int = 10_000

    @classmethod
    def of(cls, **given: Any) -> Settings:
        """Make settings from keywords; the database address also from the environment.

        Raises ConfigurationError for a name that does not exist or a value out of range.
        """
        known = {field.name for field in fields(cls)}
        for name in given:
            if name not in known:
                raise ConfigurationError(
                    f"there is no setting {name!r}; the settings are {', '.join(sorted(known))}"
                )
        values = {name: value for name, value in given.items() if value is not None}
        values.setdefault(
            "database_url", os.environ.get(DATABASE_URL_VARIABLE, DEFAULT_DATABASE_URL)
        )
        for name in ("restartable", "stoppable", "redact"):
            if name in values:
                values[name] = _patterns(name, values[name])
        return replace(cls(), **values)._checked()

    def _checked(self) -> Settings:
        for name in _SECONDS:
            value = getattr(self, name)
            if not is_number(value) or not 0 < value <= _SECONDS_MOST:
                raise ConfigurationError(
                    f"{name} must be seconds above 0, at most {_SECONDS_MOST:,}, "
                    f"not {shown(value)}"
                )
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not least <= value <= _COUNT_MOST:
                raise ConfigurationError(
                    f"{name} must be a whole number from {least} to {_COUNT_MOST:,}, "
                    f"not {shown(value)}"
                )
        if self.lost_after < 3 * self.beat_interval:
            raise ConfigurationError(
                f"lost_after ({self.lost_after} s) must be at least three times "
                f"beat_interval ({self.beat_interval} s)"
            )
        _check_address(self.database_url)
        return self


def is_number(value: Any) -> bool:
    """Say whether a value is a number that can be compared and counted with; True is none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return isinstance(value, int) or math.isfinite(value)


def shown(value: Any) -> str:
    """Show a value that was given in the sentence that refuses it."""
    try:
        text = repr(value)
    except Exception:  # the repr of an object or of a very large number
        text = f"this {type(value).__name__}"
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"


def _check_address(url: Any) -> None:
    """Refuse what is no address of a Postgres; it may hold a password and is never shown."""
    if not isinstance(url, str) or not url.startswith(_SCHEMES):
        raise ConfigurationError(
            f"database_url must begin with {' or '.join(_SCHEMES)}; it comes from the keyword "
            f"of JobMonitor or from {DATABASE_URL_VARIABLE}"
        )


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(item, str) for item in value
    ):
        raise ConfigurationError(f"{name} must be a list of name patterns, not {shown(value)}")
    return tuple(value)
