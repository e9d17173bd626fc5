"""`jobs queues`, `jobs workers`, `jobs pause`, `jobs unpause`.

Runs in: the terminal.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from jobmonitor.cli.terminal import (
    end_with,
    moment,
    monitor_of,
    print_json,
    safe,
    seconds,
    sentences,
    table,
)
from jobmonitor.insight import Job, Queue, Worker

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command("queues")
@_as_json
@click.pass_context
@sentences
def queues(ctx: click.Context, as_json: bool) -> None:
    """Show what waits and runs in each queue, and what low jobs wait for."""
    found = monitor_of(ctx).insight.queues()
    if as_json:
        print_json({"queues": [asdict(queue) for queue in found]})
        return
    table(
        (
            "queue", "waiting", "oldest", "low", "running", "due", "held", "quarantined",
            "gate",
        ),
        map(_queue_line, found),
        fit=(0, 8),
    )  # fmt: skip
    for queue in found:
        if queue.paused_at:
            click.echo(f"{safe(queue.name)} is paused since {moment(queue.paused_at)}")


def _queue_line(queue: Queue) -> tuple[str, ...]:
    running = f"{queue.running}/{queue.capacity}" if queue.fair else "—"
    return (
        queue.name, str(queue.waiting), seconds(queue.oldest_seconds), _count(queue.low),
        running, _count(queue.due), _count(queue.held), _count(queue.quarantined),
        queue.gate.reason if queue.gate else "—",
    )  # fmt: skip


def _count(number: int | None) -> str:
    return "—" if number is None else str(number)


@click.command("workers")
@_as_json
@click.pass_context
@sentences
def workers(ctx: click.Context, as_json: bool) -> None:
    """Show the workers that have not ended, and what each runs."""
    found = monitor_of(ctx).insight.workers()
    if as_json:
        print_json({"workers": [asdict(worker) for worker in found]})
        return
    if not found:
        click.echo("no worker runs")
        return
    table(
        ("worker", "pool", "running", "last beat", "started", "queues"),
        map(_worker_line, found),
        fit=(0, 5),
    )
    for worker in found:
        for job in worker.jobs:
            click.echo(safe(_job_line(worker, job)))


def _worker_line(worker: Worker) -> tuple[str, ...]:
    lost = "" if worker.lives else ", lost"
    return (
        worker.node or worker.id, worker.pool or "—", f"{worker.running}/{worker.slots}",
        f"{seconds(worker.silent_seconds)} ago{lost}", moment(worker.started_at),
        ", ".join(worker.queues),
    )  # fmt: skip


def _job_line(worker: Worker, job: Job) -> str:
    for_ = "" if job.running_seconds is None else f" for {seconds(job.running_seconds)}"
    return f"{worker.node or worker.id} runs {job.label or job.type}{for_}  {job.id}"


def _pausing(name: str, sentence: str, *, on: bool) -> click.Command:
    @sentences
    def run(ctx: click.Context, queue: str) -> None:
        insight = monitor_of(ctx).insight
        changed = insight.pause(queue) if on else insight.unpause(queue)
        if not changed:
            so = "is" if on else "is not"
            end_with(safe(f"{name} {queue}: nothing changed: it {so} paused"))
        click.echo(safe(f"{name} {queue}: {'paused' if on else 'goes on'}"))

    return click.command(name, help=sentence)(click.argument("queue")(click.pass_context(run)))


COMMANDS = {
    "queues": queues,
    "workers": workers,
    "pause": _pausing(
        "pause", "Let nothing of a queue be taken until it is unpaused; what runs goes on.",
        on=True,
    ),
    "unpause": _pausing("unpause", "Let a queue be taken from again.", on=False),
}  # fmt: skip
