"""`jobs list`, `jobs show`, `jobs tree`.

Runs in: the terminal.
"""

from __future__ import annotations

import time
from typing import Any

import click

from jobmonitor.cli.terminal import (
    children,
    moment,
    monitor_of,
    print_json,
    progress,
    safe,
    seconds,
    sentences,
    shorten,
    table,
    title,
)  # fmt: skip
from jobmonitor.records.job_view import JobView
from jobmonitor.records.queries import Node
from jobmonitor.states import FINAL, Status

_INTERVAL = 2.0
_MORE = ("traceback", "worker_pid", "checkpoint_at")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("list")
@click.option("--status", multiple=True, type=click.Choice([s.value for s in Status]))
@click.option("--type", "type_", multiple=True, help="Task name; may be repeated.")
@click.option("--errors/--no-errors", "has_errors", default=None)
@click.option("--low-priority/--normal-priority", "low_priority", default=None)
@click.option("--system", "system", flag_value="only", help="System jobs only.")
@click.option("--all", "system", flag_value="all", help="System jobs too.")
@click.option("--run-by")
@click.option("--root", help="A root job and everything below it.")
@click.option("--parent", help="The children of a job.")
@click.option("--q", help="Text in label, type, id or run by.")
@click.option("--limit", default=50, show_default=True)
@click.option("--cursor", help="Go on behind an earlier page.")
@_as_json
@click.pass_context
@sentences
def list_(
    ctx: click.Context, type_: tuple[str, ...], system: str | None, limit: int,
    cursor: str | None, as_json: bool, **filters: Any,
) -> None:  # fmt: skip
    """List root jobs, newest first; children with --root or --parent."""
    shown = {"only": True, "all": None, None: False}[system]
    page = monitor_of(ctx).jobs.find(
        type=type_, system=shown, limit=limit, cursor=cursor, **filters
    )
    if as_json:
        print_json({"jobs": [job.as_json() for job in page.jobs], "cursor": page.cursor})
        return
    if not page.jobs:
        filtered = bool(type_ or system) or any(v not in (None, ()) for v in filters.values())
        click.echo("no jobs here" + (" with these filters" if filtered else ""))
        return
    table(
        ("id", "job", "status", "done", "below", "wait", "ran"),
        map(_line, page.jobs),
        fit=(1, 2),
    )
    if page.cursor:
        click.echo(f"more: --cursor {page.cursor}")


def _line(job: JobView) -> tuple[str, ...]:
    flags = "low " if job.low_priority and job.status not in FINAL else ""
    errors = ", errors" if job.has_errors else ""
    below = job.descendants or job.children
    return (
        job.id, title(job), flags + job.shown_status + errors, progress(job).replace(" ", ""),
        f"{below.finished}/{below.total}" if below.total else "—",
        seconds(job.waiting_seconds).replace(" ", ""),
        seconds(job.duration_seconds).replace(" ", ""),
    )  # fmt: skip


@click.command("show")
@click.argument("job_id", metavar="ID")
@_as_json
@click.pass_context
@sentences
def show(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Show one job: every field, its runs and its audit."""
    jobs = monitor_of(ctx).jobs
    job, runs, events = jobs.get(job_id), jobs.runs(job_id), jobs.events(job_id)
    if as_json:
        more = {name: getattr(job, name) for name in _MORE}
        print_json(job.as_json() | more | {"runs": runs, "events": events})
        return
    width = max(len(name) for name, _ in _fields(job))
    for name, value in _fields(job):
        click.echo(f"{name.ljust(width)}  {safe(value)}")
    for line in (job.traceback or "").splitlines():
        click.echo(f"    {safe(line)}")
    for run in runs:
        ended = "with errors" if run["has_errors"] else "without errors"
        click.echo(
            f"run {run['run']}: {moment(run['started_at'])}, {seconds(run['ran'])}, {ended}"
        )
    for event in events:
        by = f" by {event['actor']}" if event["actor"] else ""
        why = f": {event['reason']}" if event["reason"] else ""
        click.echo(safe(f"{moment(event['at'])}  {event['event']}{by}{why}"))


def _fields(job: JobView) -> list[tuple[str, str]]:
    waits = f" ({job.pending_because})" if job.pending_because else ""
    done = (
        "" if job.progress.total is None else f" ({job.progress.done} of {job.progress.total})"
    )
    return [
        ("id", job.id),
        ("label", job.label or "—"),
        ("type", job.type),
        ("status", job.shown_status + waits),
        ("errors", "yes" if job.has_errors else "no"),
        ("error", job.error or "—"),
        ("low priority", "yes" if job.low_priority else "no"),
        ("system", "yes" if job.system else "no"),
        ("run by", job.run_by or "—"),
        ("created", moment(job.created_at)),
        ("due", moment(job.due_at)),
        ("waiting", seconds(job.waiting_seconds)),
        ("started", moment(job.started_at)),
        ("duration", seconds(job.duration_seconds)),
        ("finished", moment(job.finished_at)),
        ("progress", progress(job) + done + (f" {job.progress.message or ''}").rstrip()),
        ("children", children(job)),
        ("parent", job.parent_id or "—"),
        ("root", job.root_id),
        ("queue", job.queue),
        ("run, attempt", f"{job.run}, {job.attempt} ({job.retries} retries, {job.lost} lost)"),
        ("worker", f"{job.worker}, process {job.worker_pid}" if job.worker else "—"),
        ("checkpoint", moment(job.checkpoint_at)),
        ("arguments", f"{job.args} {job.kwargs}"),
        ("result", "—" if job.result is None else str(job.result)),
        ("operations", ", ".join(job.operations) or "—"),
    ]


@click.command("tree")
@click.argument("job_id", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 5_000), default=200, show_default=True)
@click.option("--follow", is_flag=True, help="Draw again every 2 s until all of it is final.")
@_as_json
@click.pass_context
@sentences
def tree(ctx: click.Context, job_id: str, limit: int, follow: bool, as_json: bool) -> None:
    """Draw a job and its descendants."""
    jobs = monitor_of(ctx).jobs
    while True:
        nodes = jobs.tree(job_id, limit=limit)
        if as_json:
            print_json([{"depth": node.depth, **node.job.as_json()} for node in nodes])
            return
        _draw(nodes, limit)
        if not follow or _is_over(nodes[0].job):
            return
        time.sleep(_INTERVAL)
        click.clear()  # does nothing where the output is no terminal
        click.echo()


def _is_over(top: JobView) -> bool:
    """Whether all of a tree is final, also what a limit left out."""
    return top.status in FINAL and not top.unfinished


def _draw(nodes: list[Node], limit: int) -> None:
    for node in nodes:
        job = node.job
        facts = [job.shown_status + (" with errors" if job.has_errors else "")]
        facts += [progress(job)] if job.progress.percent is not None else []
        facts += [f"children {children(job)}"] if job.children.total else []
        name = shorten(safe(title(job)), 50)
        click.echo(f"{'  ' * node.depth}{name}  [{', '.join(facts)}]  {safe(job.id)}")
    if len(nodes) == limit:
        click.echo(f"only the first {limit} are shown: --limit")


COMMANDS = {"list": list_, "show": show, "tree": tree}
