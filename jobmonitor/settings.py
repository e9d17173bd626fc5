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
_SECONDS = (
    "progress_interval", "beat_interval", "lost_after", "database_patience", "claim_patience",
)  # fmt: skip
_COUNTS = {
    "lost_max": 0, "message_max": 1, "checkpoint_max": 1, "shown_max": 100,
    "log_lines_max": 0, "log_waiting_max": 1,
}  # fmt: skip


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
            if not _is_number(value, (int, float)) or value <= 0:
                raise ConfigurationError(f"{name} must be seconds above 0, not {value!r}")
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if not _is_number(value, int) or value < least:
                raise ConfigurationError(
                    f"{name} must be a whole number from {least}, not {value!r}"
                )
        if self.lost_after < 3 * self.beat_interval:
            raise ConfigurationError(
                f"lost_after ({self.lost_after} s) must be at least three times "
                f"beat_interval ({self.beat_interval} s)"
            )
        if not str(self.database_url).startswith(("postgresql://", "postgresql+psycopg://")):
            raise ConfigurationError(
                "database_url must begin with postgresql:// or postgresql+psycopg://"
            )
        return self


def _is_number(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(
        isinstance(item, str) for item in value
    ):
        raise ConfigurationError(f"{name} must be a list of name patterns, not {value!r}")
    return tuple(value)
