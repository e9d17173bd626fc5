"""What the commands share: the monitor of the app, errors as sentences, tables, safe text.

Runs in: the terminal.
"""

from __future__ import annotations

import functools
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn

import click
from kombu.exceptions import OperationalError

from jobmonitor.errors import JobMonitorError
from jobmonitor.records.job_view import JobView, in_utc

_WIDTH = 100
_LEAST = 8


def monitor_of(ctx: click.Context) -> Any:
    """Return the JobMonitor of the app given with -A, or end with what is missing."""
    app = getattr(ctx.obj, "app", None)
    monitor = getattr(app, "jobmonitor", None)
    if monitor is None:
        end_with(
            "this app has no JobMonitor: name the app with `celery -A your_app jobs …`, "
            "and add `monitor = JobMonitor(app)` to it"
        )
    return monitor


def sentences(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn the errors that a person can meet into one sentence and exit status 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except JobMonitorError as error:
            end_with(str(error))
        except OperationalError as error:
            end_with(f"the broker cannot be reached: {error}")

    return wrapped


def end_with(sentence: str) -> NoReturn:
    """Say on stderr what was wrong and end with status 1."""
    click.echo(f"jobs: {sentence}", err=True)
    sys.exit(1)


def print_json(value: Any) -> None:
    """Print JSON with times in ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return in_utc(value) if isinstance(value, datetime) else str(value)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, fit: Sequence[int] = ()
) -> None:
    """Print aligned columns; those of `fit` are cut, the widest first, to fit the terminal."""
    cells = [list(heads), *([safe(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = max(_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns)
    while sum(widths) + 2 * (len(widths) - 1) > room and fit:
        widest = max(fit, key=lambda column: widths[column])
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    for row in cells:
        shown = (shorten(cell, width) for cell, width in zip(row, widths, strict=True))
        padded = (cell.ljust(width) for cell, width in zip(shown, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def safe(text: str) -> str:
    """Escape what would steer the terminal: text of jobs is not ours."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, width: int) -> str:
    """Cut a text to a width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def seconds(value: float | None) -> str:
    """Show a duration as people read it."""
    if value is None:
        return "—"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(value: datetime | None) -> str:
    """Show a time in the zone of this terminal."""
    return "—" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def progress(job: JobView) -> str:
    """Show how far a job is; unknown is —, not 0 %."""
    percent = job.progress.percent
    return "—" if percent is None else f"{percent:g} %"


def children(job: JobView) -> str:
    """Show finished/total of what counts for the job: descendants of a root, else children."""
    counts = job.descendants or job.children
    if not counts.total:
        return "—"
    errors = f", {counts.with_errors} with errors" if counts.with_errors else ""
    return f"{counts.finished}/{counts.total}{errors}"


def title(job: JobView) -> str:
    """The label, or the type where a job has none."""
    return job.label or job.type
