"""`celery -A your_app jobs …`: see and steer jobs from a terminal.

Runs in: the terminal. The plug-in is imported by every celery command, so what a command needs
is imported when it runs.
"""

from __future__ import annotations

import sys
from functools import wraps
from importlib import import_module
from typing import Any

import click

from jobmonitor.errors import ConfigurationError

_WHERE = {
    "list": "reading", "show": "reading", "tree": "reading", "logs": "logs",
    "stats": "statistics",
    "queues": "routing", "workers": "routing", "pause": "routing", "unpause": "routing",
    "quarantine": "aside", "drain": "aside",
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


def _say_why_the_app_cannot_work() -> None:
    """End a celery command whose app has a wrong setting with its sentence, and status 1.

    Celery itself would show the traceback of the import. Called while its own module of the
    command is being imported, which is what loads this one.
    """
    celery_command: Any = sys.modules.get("celery.bin.celery")
    find_app = getattr(celery_command, "find_app", None)
    if find_app is None:
        return

    @wraps(find_app)
    def find(*args: Any, **options: Any) -> Any:
        try:
            return find_app(*args, **options)
        except ConfigurationError as error:
            click.echo(f"jobmonitor: {error}", err=True)
            sys.exit(1)

    celery_command.find_app = find


_say_why_the_app_cannot_work()
