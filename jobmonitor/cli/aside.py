"""`jobs quarantine`, `jobs drain`.

Runs in: the terminal.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from jobmonitor.cli.terminal import (
    end_with,
    moment,
    monitor_of,
    print_json,
    safe,
    sentences,
    table,
)
from jobmonitor.transport.consumer import Quarantined

_queue = click.option("--queue", default="celery", show_default=True, help="The queue.")


@click.group("quarantine")
def quarantine() -> None:
    """See, put back or drop messages that nobody could deliver."""


@quarantine.command("list")
@_queue
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@sentences
def list_(ctx: click.Context, queue: str, limit: int, as_json: bool) -> None:
    """List them with the reason, the last first."""
    found = monitor_of(ctx).setting_aside.entries(queue, limit)
    if as_json:
        print_json({"quarantined": [_plain(entry) for entry in found]})
        return
    if not found:
        click.echo(f"nothing of {safe(queue)} is in quarantine")
        return
    lines = (
        (entry.id, moment(_at(entry)), f"{entry.size:,}", str(entry.deliveries), entry.reason)
        for entry in found
    )
    table(("id", "since", "bytes", "delivered", "reason"), lines, fit=(4,))


@quarantine.command("show")
@click.argument("id_", metavar="ID")
@_queue
@click.pass_context
@sentences
def show(ctx: click.Context, id_: str, queue: str) -> None:
    """Print a message as it came."""
    found = monitor_of(ctx).setting_aside.message(queue, id_)
    if found is None:
        end_with(safe(f"there is no {id_} in the quarantine of {queue}"))
    click.echo(safe(found.decode("utf-8", "backslashreplace")))


@quarantine.command("put-back")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_queue
@click.pass_context
@sentences
def put_back(ctx: click.Context, ids: tuple[str, ...], queue: str) -> None:
    """Let messages be delivered once more."""
    _say(ids, monitor_of(ctx).setting_aside.put_back(queue, ids), queue, "put back")


@quarantine.command("drop")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_queue
@click.pass_context
@sentences
def drop(ctx: click.Context, ids: tuple[str, ...], queue: str) -> None:
    """Remove messages for good."""
    _say(ids, monitor_of(ctx).setting_aside.drop(queue, ids), queue, "dropped")


def _say(ids: tuple[str, ...], changed: list[str], queue: str, done: str) -> None:
    for id_ in ids:
        why = done if id_ in changed else f"not in the quarantine of {queue}"
        click.echo(safe(f"{id_}: {why}"), err=id_ not in changed)
    if not changed:
        end_with("nothing changed")


def _at(entry: Quarantined) -> datetime:
    return datetime.fromtimestamp(entry.since / 1000, UTC)


def _plain(entry: Quarantined) -> dict[str, object]:
    return {
        "id": entry.id, "since": _at(entry), "reason": entry.reason,
        "deliveries": entry.deliveries, "size": entry.size,
    }  # fmt: skip


@click.command("drain")
@click.argument("queue")
@click.pass_context
@sentences
def drain(ctx: click.Context, queue: str) -> None:
    """Hand what waits in QUEUE over to plain redis:// workers, to go back to them."""
    count = monitor_of(ctx).setting_aside.give_away(queue)
    noun = "message" if count == 1 else "messages"
    click.echo(safe(f"{count:,} {noun} of {queue} wait for workers on redis:// now"))


COMMANDS = {"quarantine": quarantine, "drain": drain}
