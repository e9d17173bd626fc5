"""`jobs logs`.

Runs in: the terminal.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import click

from jobmonitor.cli.terminal import monitor_of, safe, sentences
from jobmonitor.records.job_view import in_utc
from jobmonitor.records.logs import LIMIT_MAX, LogLine
from jobmonitor.states import FINAL

_INTERVAL = 1.0


@click.command("logs")
@click.argument("job_id", metavar="ID")
@click.option("--level", help="The least level, by name or number.")
@click.option("--q", help="Text in the message.")
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=200, show_default=True)
@click.option("--follow", is_flag=True, help="Go on until the job is final.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line each.")
@click.pass_context
@sentences
def logs(
    ctx: click.Context, job_id: str, limit: int, follow: bool, as_json: bool, **filters: Any
) -> None:
    """Show the newest lines that a job logged, printed and warned, oldest first."""
    jobs = monitor_of(ctx).jobs
    is_over = not follow or jobs.get(job_id).status in FINAL
    newest = jobs.logs(job_id, limit=limit, **filters).lines
    last = _show(reversed(newest), as_json, 0)
    while not is_over:
        time.sleep(_INTERVAL)
        is_over = jobs.get(job_id).status in FINAL
        last = _show_behind(jobs, job_id, last, as_json, filters)


def _show_behind(jobs: Any, job_id: str, last: int, as_json: bool, filters: Any) -> int:
    """Show what came behind a line; the id of the last one shown."""
    while True:
        page = jobs.logs(
            job_id, cursor=str(last), newest_first=False, limit=LIMIT_MAX, **filters
        )
        last = _show(page.lines, as_json, last)
        if page.cursor is None:
            return last


def _show(lines: Any, as_json: bool, last: int) -> int:
    for line in lines:
        click.echo(_as_json(line) if as_json else _as_text(line))
        last = line.id
    return last


def _as_json(line: LogLine) -> str:
    return json.dumps(asdict(line) | {"at": in_utc(line.at)})


def _as_text(line: LogLine) -> str:
    at = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    first, *more = line.message.split("\n")
    head = f"{at}  {line.level_name:<8} {line.logger}: {first}"
    return "\n".join([safe(head), *(f"    {safe(text)}" for text in more)])


COMMANDS = {"logs": logs}
