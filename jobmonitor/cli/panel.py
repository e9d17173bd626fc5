"""`jobs panel`: serve the panel and the API.

Runs in: the terminal, which becomes gunicorn.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from jobmonitor.cli.place import APP_VARIABLE, place_of_app
from jobmonitor.cli.terminal import end_with, monitor_of, sentences
from jobmonitor.records.database import check_schema
from jobmonitor.records.users import Users

PROXIES_VARIABLE = "JOBMONITOR_PROXIES"
_FACTORY = "flask_panel:create_app()"


@click.command("panel")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535))
@click.option("--threads", default=16, show_default=True, type=click.IntRange(1, 1_000))
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 100))
@click.option(
    "--proxies",
    default=0,
    show_default=True,
    type=click.IntRange(0, 10),
    help="How many proxies stand before it.",
)
@click.pass_context
@sentences
def panel(
    ctx: click.Context, host: str, port: int, threads: int, processes: int, proxies: int
) -> None:  # fmt: skip
    """Serve the panel and the API with gunicorn, until it is interrupted.

    People log in as users of `jobs user create`. Put a proxy with TLS before it where others
    than this machine reach it.
    """
    monitor, place = monitor_of(ctx), place_of_app(ctx)
    if find_spec("flask") is None or find_spec("gunicorn") is None:
        end_with("the panel needs more packages: pip install 'jobmonitor[panel]'")
    check_schema(monitor.database)
    if not Users(monitor.database).list():
        click.echo(
            f"nobody can log in yet: celery -A {place.given} jobs user create NAME "
            "--role operator",
            err=True,
        )
    monitor.database.close()
    os.environ |= {APP_VARIABLE: place.name, PROXIES_VARIABLE: str(proxies)}
    os.execv(
        sys.executable,
        [sys.executable, "-m", "gunicorn", "-b", f"{host}:{port}",
         "-k", "gthread", "-w", str(processes), "--threads", str(threads),
         "--graceful-timeout", "3", "--no-control-socket", _FACTORY],
    )  # fmt: skip


COMMANDS = {"panel": panel}
