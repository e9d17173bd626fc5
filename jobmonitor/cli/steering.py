"""`jobs stop`, `resume`, `force-stop`, `cancel`, `restart`, `low-priority`.

Runs in: the terminal.
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import asdict
from typing import Any

import click

from jobmonitor.cli.terminal import monitor_of, print_json, safe, sentences, shorten
from jobmonitor.operations import Outcome
from jobmonitor.states import Operation, Status

_HELP = {
    Operation.STOP: "Ask jobs and their descendants to halt at their next checkpoint.",
    Operation.RESUME: "Let stopped jobs go on from their last checkpoint.",
    Operation.FORCE_STOP: "Kill the processes that run stopping jobs.",
    Operation.CANCEL: "Discard stopped jobs; cannot be undone.",
    Operation.RESTART: "Run finished jobs again.",
}
_PRIORITY = {"set": Operation.SET_LOW_PRIORITY, "remove": Operation.REMOVE_LOW_PRIORITY}


def _user() -> str:
    """The name of the OS user; a container may run as a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _options(command: Any) -> Any:
    for option in (
        click.argument("ids", metavar="ID…", nargs=-1, required=True),
        click.option("--reason", help="Kept in the audit."),
        click.option("--as", "who", default=_user, help="Who does it; the OS user."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ):
        command = option(command)
    return click.pass_context(command)


def _command(operation: Operation) -> click.Command:
    @sentences
    def run(
        ctx: click.Context, ids: tuple[str, ...], reason: str | None, who: str, as_json: bool
    ) -> None:
        _apply(ctx, operation, ids, reason, who, as_json)

    return click.command(operation.value, help=_HELP[operation])(_options(run))


@sentences
def _low_priority(
    ctx: click.Context, what: str, ids: tuple[str, ...], reason: str | None, who: str,
    as_json: bool,
) -> None:  # fmt: skip
    _apply(ctx, _PRIORITY[what], ids, reason, who, as_json)


def _apply(
    ctx: click.Context, operation: Operation, ids: tuple[str, ...], reason: str | None,
    who: str, as_json: bool,
) -> None:  # fmt: skip
    monitor = monitor_of(ctx)
    with monitor.acting(who):
        outcomes = monitor.jobs.apply(operation, ids, reason=reason)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            click.echo(_sentence(operation, outcome), err=not outcome.changed)
    if not any(outcome.changed for outcome in outcomes):
        sys.exit(1)


def _sentence(operation: Operation, outcome: Outcome) -> str:
    if not outcome.changed:
        return safe(
            f"{operation.value} {shorten(outcome.id, 255)}: nothing changed: {outcome.reason}"
        )
    below = outcome.descendants_changed
    noun = "descendant" if below == 1 else "descendants"
    more = f", {below:,} {noun}" if below else ""
    why = f" ({outcome.reason})" if outcome.reason else ""
    status = Status(outcome.status).shown if outcome.status else "gone"
    return safe(f"{operation.value} {outcome.id}: {status}{more}{why}")


COMMANDS = {operation.value: _command(operation) for operation in _HELP}
COMMANDS["low-priority"] = click.command(
    "low-priority", help="Set or remove low priority, for what has not started."
)(click.argument("what", type=click.Choice(list(_PRIORITY)))(_options(_low_priority)))
