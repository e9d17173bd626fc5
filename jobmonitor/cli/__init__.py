"""`celery -A your_app jobs …`: see and steer jobs from a terminal.

Runs in: the terminal. The plug-in is imported by every celery command, so what a command needs
is imported when it runs.
"""

from __future__ import annotations

from importlib import import_module

import click

_WHERE = {
    "list": "reading", "show": "reading", "tree": "reading", "logs": "logs",
    "stats": "statistics",
    "stop": "steering", "resume": "steering", "force-stop": "steering", "cancel": "steering",
    "restart": "steering", "low-priority": "steering",
    "migrate": "setup", "token": "setup", "user": "users", "panel": "panel", "demo": "demo",
}  # fmt: skip


class _Jobs(click.Group):
    """Finds a command in its module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_WHERE)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _WHERE:
            return None
        module = import_module(f"jobmonitor.cli.{_WHERE[name]}")
        return module.COMMANDS[name]


@click.group(cls=_Jobs)
def jobs() -> None:
    """See and steer the jobs of this app."""
