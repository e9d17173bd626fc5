"""Where the app given with -A is, so that other processes can import it.

Runs in: the terminal.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from jobmonitor.cli.terminal import end_with, monitor_of

#: tells the web server which app's jobs it shows
APP_VARIABLE = "JOBMONITOR_APP"


@dataclass(frozen=True, slots=True)
class AppPlace:
    """Where the app is: as it was given with -A, its module, its name in there."""

    given: str
    module: str
    attribute: str

    @property
    def name(self) -> str:
        """What the web server and others import."""
        return f"{self.module}:{self.attribute}"


def place_of_app(ctx: click.Context) -> AppPlace:
    """Find the module of the app given with -A."""
    app = monitor_of(ctx).app
    given = str(ctx.find_root().params.get("app") or "")
    named = given.partition(":")[0]
    for module in (named, named.rpartition(".")[0], f"{named}.celery"):
        for attribute, value in vars(sys.modules.get(module, object)).items():
            if value is app:
                return AppPlace(given, module, attribute)
    end_with(f"the app {given!r} is no name in a module, and workers could not import it")
