"""`jobs demo`: servers, workers, beat, web server and jobs, from one command to one Ctrl-C.

Runs in: the terminal.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from jobmonitor.cli.processes import Processes, free_port
from jobmonitor.cli.terminal import end_with, monitor_of, seconds, sentences
from jobmonitor.embedded import EmbeddedServers
from jobmonitor.errors import ConfigurationError
from jobmonitor.settings import DATABASE_URL_VARIABLE

BROKER_URL_VARIABLE = "BROKER_URL"
_WORKERS = ("one", "two")


@click.command("demo")
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".demo"),
              show_default=True, help="Where its data and logs are kept.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Forget the data of earlier starts.")
@click.option("--port", type=int, help="Port of the web server; a free one by default.")
@click.pass_context
@sentences
def demo(ctx: click.Context, directory: Path, fresh: bool, port: int | None) -> None:
    """Start the app with servers of its own, and give it jobs to run.

    Each start dispatches the jobs again; importing twice changes nothing. With
    JOBMONITOR_DATABASE_URL and BROKER_URL in the environment it uses those servers instead.
    """
    name = _app_name(ctx)
    began = time.monotonic()
    with ExitStack() as stack:
        stop = _stop_on_signals()
        addresses = _servers(stack, directory.absolute(), fresh)
        os.environ.update(addresses)
        processes = Processes(directory.absolute() / "logs", stop)
        stack.callback(processes.stop)
        started = _start_app(name, directory.absolute(), processes, port)
        click.echo(_greeting(name, directory, started))
        _first_finish(name, started["job"], began, stop)
        processes.watch()
        click.echo("\nstopping")
    click.echo("stopped; nothing is left running")


def _app_name(ctx: click.Context) -> str:
    """The module of the app given with -A, which must dispatch the jobs of a demo."""
    app = monitor_of(ctx).app
    for name, module in list(sys.modules.items()):
        if getattr(module, "app", None) is app and hasattr(module, "dispatch_demo"):
            return name
    return end_with("this app has no dispatch_demo(directory): the demo is celery_app's")


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _servers(stack: ExitStack, directory: Path, fresh: bool) -> dict[str, str]:
    """Use the servers that the environment names, or start our own."""
    given = [os.environ.get(DATABASE_URL_VARIABLE), os.environ.get(BROKER_URL_VARIABLE)]
    if any(given) and not all(given):
        raise ConfigurationError(
            f"set both {DATABASE_URL_VARIABLE} and {BROKER_URL_VARIABLE}, or neither"
        )
    directory.mkdir(parents=True, exist_ok=True)
    if fresh:
        shutil.rmtree(directory / "logs", ignore_errors=True)
    if given[0] and given[1]:
        return {DATABASE_URL_VARIABLE: given[0], BROKER_URL_VARIABLE: given[1]}
    click.echo("starting Postgres and Valkey")
    addresses = stack.enter_context(EmbeddedServers(directory / "servers", fresh=fresh))
    return {
        DATABASE_URL_VARIABLE: addresses.database_url,
        BROKER_URL_VARIABLE: addresses.broker_url,
    }


def _start_app(
    name: str, directory: Path, processes: Processes, port: int | None
) -> dict[str, Any]:
    """Migrate, start the processes, dispatch the jobs; what a person needs to know."""
    module = _imported_for(name)
    module.monitor.migrate()
    celery = [sys.executable, "-m", "celery", "-A", name]
    for worker in _WORKERS:
        command = [
            *celery, "worker", "-n", f"{worker}@demo", "-c", "2", "-l", "INFO",
            "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        processes.start(f"worker-{worker}", command)
    schedule = directory / "beat-schedule"
    processes.start("beat", [*celery, "beat", "-l", "INFO", "-s", str(schedule)])
    port = port or free_port()
    os.environ["JOBMONITOR_APP"] = f"{name}:app"
    web = ["-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "8"]
    web += ["--graceful-timeout", "2", "flask_panel:create_app()"]
    processes.start("web", [sys.executable, *web])
    job = module.dispatch_demo(directory)
    producer = Path(module.__file__ or "").with_name("deploy") / "event_producer.py"
    if producer.exists():
        processes.run([sys.executable, str(producer), "order-paid", "stock-low"])
    return {"port": port, "job": job, "token": _token(module.monitor, directory)}


def _imported_for(name: str) -> Any:
    """Import the app anew: its addresses were not known when the command began."""
    sys.modules.pop(name, None)
    return import_module(name)


def _token(monitor: Any, directory: Path) -> str:
    """The operator's token of this directory; made at the first start, kept like a password."""
    from jobmonitor.records.tokens import Tokens

    file = directory / "token"
    tokens = Tokens(monitor.database)
    if file.exists() and tokens.check(file.read_text().strip()):
        return file.read_text().strip()
    if any(token["name"] == "demo" for token in tokens.list()):
        tokens.revoke("demo")
    secret = tokens.create("demo", "operator")
    file.touch(mode=0o600)
    file.write_text(secret)
    return secret


def _greeting(name: str, directory: Path, started: dict[str, Any]) -> str:
    env = directory / "env"
    env.touch(mode=0o600)
    names = (DATABASE_URL_VARIABLE, BROKER_URL_VARIABLE)
    env.write_text("".join(f"export {n}={os.environ[n]!r}\n" for n in names))
    url = f"http://127.0.0.1:{started['port']}"
    jobs = f"{Path(sys.executable).parent.name}/celery -A {name} jobs"
    if Path(sys.executable).parent.parent == Path.cwd() / ".venv":
        jobs = f".venv/{jobs}"
    return f"""
  API     {url}/api/v1/jobs        described by {url}/api/v1/openapi.json
  token   {started["token"]}
  logs    {directory}/logs

In a second terminal, in this folder:

  . {env}
  {jobs} list
  {jobs} tree --follow {started["job"]}
  {jobs} list --q Export          # stop the export at 40 %, then resume it:
  {jobs} stop ID
  {jobs} resume ID
  .venv/bin/celery -A {name} call {name}.endless_loop     # only force-stop ends it
  curl -H "Authorization: Bearer $(cat {directory}/token)" {url}/api/v1/jobs

Ctrl-C stops everything.
"""


def _first_finish(name: str, job_id: str, began: float, stop: threading.Event) -> None:
    """Say when the first job was done, counted from the start of the command."""
    jobs = sys.modules[name].monitor.jobs
    since = datetime.now(UTC) - timedelta(seconds=time.monotonic() - began)
    while not stop.wait(0.1):
        page = jobs.find(status=("finished",), finished_from=since, roots_only=False, limit=1)
        if page.jobs:
            took = seconds(time.monotonic() - began)
            click.echo(f"the first job finished {took} after the start")
            return
        if time.monotonic() - began > 60:
            click.echo("no job has finished within a minute; look at the logs", err=True)
            return


COMMANDS = {"demo": demo}
