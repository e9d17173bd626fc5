"""`jobs migrate`, `jobs token`.

Runs in: the terminal.
"""

from __future__ import annotations

import click

from jobmonitor.cli.terminal import moment, monitor_of, print_json, sentences, table
from jobmonitor.records.database import migration_state
from jobmonitor.records.tokens import Tokens


@click.command("migrate")
@click.pass_context
@sentences
def migrate(ctx: click.Context) -> None:
    """Bring the database to the schema of this version."""
    monitor = monitor_of(ctx)
    before, _ = migration_state(monitor.settings.database_url)
    monitor.migrate()
    after, _ = migration_state(monitor.settings.database_url)
    click.echo(f"schema {after}" + (" already" if after == before else ""))


@click.group("token")
def token() -> None:
    """Bearer tokens of programs that use the API."""


@token.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator"]), required=True)
@click.pass_context
@sentences
def create(ctx: click.Context, name: str, role: str) -> None:
    """Make a token and print its secret, this once."""
    click.echo(Tokens(monitor_of(ctx).database).create(name, role))


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@sentences
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the tokens; their secrets are not kept."""
    tokens = Tokens(monitor_of(ctx).database).list()
    if as_json:
        print_json(tokens)
        return
    table(
        ("name", "role", "created", "last used", "revoked"),
        [
            (
                t["name"], t["role"], moment(t["created_at"]), moment(t["last_used_at"]),
                moment(t["revoked_at"]),
            )
            for t in tokens
        ],
        fit=(0,),
    )  # fmt: skip


@token.command("revoke")
@click.argument("name")
@click.pass_context
@sentences
def revoke(ctx: click.Context, name: str) -> None:
    """Let a token open nothing any more."""
    Tokens(monitor_of(ctx).database).revoke(name)
    click.echo(f"token {name} is revoked")


COMMANDS = {"migrate": migrate, "token": token}
