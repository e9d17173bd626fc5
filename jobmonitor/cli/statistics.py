"""`jobs stats`.

Runs in: the terminal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from jobmonitor.cli.terminal import moment, monitor_of, print_json, seconds, sentences, table
from jobmonitor.records.statistics import Figures, Statistics, shown_width

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _moment(_: click.Context, __: click.Parameter, given: str | None) -> datetime | None:
    """Read "24h" as so long ago, else ISO 8601, which without a zone is in that of here."""
    if given is None:
        return None
    ago = _AGO.fullmatch(given)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(given).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{given!r} is neither like 90m, 24h, 7d, 12w nor like 2026-01-31T12:00"
        ) from error


@click.command("stats")
@click.option("--since", callback=_moment, default="24h", show_default=True,
              help="So long ago (90m, 24h, 7d, 12w), or 2026-01-31T12:00.")  # fmt: skip
@click.option("--until", callback=_moment, help="The same; now by default.")
@click.option("--type", "types", multiple=True, help="Task name; may be repeated.")
@click.option("--system", "system", flag_value="only", help="System jobs only.")
@click.option("--all", "system", flag_value="all", help="System jobs too.")
@click.option("--bucket", "width", type=int, help="Seconds of a line; by the range.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@sentences
def stats(
    ctx: click.Context, since: datetime, until: datetime | None, types: tuple[str, ...],
    system: str | None, width: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Count creations and waiting times over time."""
    shown = {"only": True, "all": None, None: False}[system]
    found = monitor_of(ctx).jobs.statistics(
        since=since, until=until, types=types, system=shown, width=width
    )
    if as_json:
        print_json(found.as_json())
        return
    _print(found)


def _print(found: Statistics) -> None:
    total = found.total
    if not total.creations and not total.starts:
        click.echo("no job was created or started in this range")
        return
    heads = ("from", "creations", "starts", "average wait", "min wait", "max wait")
    lines = [(moment(bucket.start), *_cells(bucket)) for bucket in found.buckets]
    table(heads, [*lines, ("total", *_cells(total))])
    click.echo(f"each line is {shown_width(found.width_seconds)}")


def _cells(figures: Figures) -> tuple[str, ...]:
    return (
        f"{figures.creations:,}",
        f"{figures.starts:,}",
        seconds(figures.average_waiting_seconds),
        seconds(figures.minimum_waiting_seconds),
        seconds(figures.maximum_waiting_seconds),
    )


COMMANDS = {"stats": stats}
