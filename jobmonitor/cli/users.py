"""`jobs user`: who may log in to the panel.

Runs in: the terminal.
"""

from __future__ import annotations

import sys

import click

from jobmonitor.cli.terminal import moment, monitor_of, print_json, sentences, table
from jobmonitor.records.users import PASSWORD_MIN, ROLES, Users

_role = click.option("--role", type=click.Choice(ROLES), required=True)
_stdin = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from stdin."
)


@click.group("user")
def user() -> None:
    """People who log in to the panel."""


@user.command("create")
@click.argument("name")
@_role
@_stdin
@click.pass_context
@sentences
def create(ctx: click.Context, name: str, role: str, from_stdin: bool) -> None:
    """Let somebody log in; asks for a password."""
    Users(monitor_of(ctx).database).create(name, role, _password(from_stdin))
    click.echo(f"user {name} may log in as {role}")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
@sentences
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the users."""
    users = Users(monitor_of(ctx).database).list()
    if as_json:
        print_json(users)
        return
    rows = [
        (u["name"], u["role"], moment(u["created_at"]), moment(u["last_login_at"]),
         str(u["sessions"]))
        for u in users
    ]  # fmt: skip
    table(("name", "role", "created", "last login", "sessions"), rows, fit=(0,))


@user.command("password")
@click.argument("name")
@_stdin
@click.pass_context
@sentences
def password(ctx: click.Context, name: str, from_stdin: bool) -> None:
    """Set a new password; whoever is logged in with the old one is logged out."""
    Users(monitor_of(ctx).database).change(name, password=_password(from_stdin))
    click.echo(f"user {name} has a new password")


@user.command("role")
@click.argument("name")
@_role
@click.pass_context
@sentences
def role(ctx: click.Context, name: str, role: str) -> None:
    """Change what a user may do, at once."""
    Users(monitor_of(ctx).database).change(name, role=role)
    click.echo(f"user {name} is {role} now")


@user.command("remove")
@click.argument("name")
@click.pass_context
@sentences
def remove(ctx: click.Context, name: str) -> None:
    """Let a user log in no more; open sessions end."""
    Users(monitor_of(ctx).database).remove(name)
    click.echo(f"user {name} is removed")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    prompt = f"Password, {PASSWORD_MIN} characters or more"
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=True))


COMMANDS = {"user": user}
