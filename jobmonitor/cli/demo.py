"""`jobs demo`: servers, workers, beat, web server and jobs, from one command to one Ctrl-C.

Runs in: the terminal. Only the main thread starts processes and prints; another one dispatches
the jobs, because that waits for some of them.
"""

from __future__ import annotations

import os
import queue
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import click

from jobmonitor.cli.place import APP_VARIABLE, AppPlace, place_of_app
from jobmonitor.cli.processes import Processes, dying_with_us, say
from jobmonitor.cli.terminal import seconds, sentences
from jobmonitor.embedded import Addresses, EmbeddedServers
from jobmonitor.embedded.directory import ServerDirectory, is_alive
from jobmonitor.embedded.process import HOST, free_port
from jobmonitor.errors import ConfigurationError, JobMonitorError
from jobmonitor.records.database import Database, migrate
from jobmonitor.records.queries import Filters, Queries
from jobmonitor.records.tokens import Tokens
from jobmonitor.records.users import Users
from jobmonitor.settings import DATABASE_URL_VARIABLE

BROKER_URL_VARIABLE = "BROKER_URL"
TOKEN_NAME = "demo"
USER_NAME = "demo"
_TICK = 0.2
#: within this time the web server answers and a job has finished, or it is said that not
_PATIENCE = 60.0
#: so long the first worker and the web server have the machine for themselves, at most
_ALONE = 10.0
#: submits the jobs of an app and prints what it says meanwhile
_DISPATCH = """
import sys
from importlib import import_module
from pathlib import Path
app = getattr(import_module(sys.argv[1]), sys.argv[2])
if not hasattr(app, "demo"):
    print("this app has no `demo`: no jobs are submitted")
    sys.exit()
for line in app.demo(Path(sys.argv[3])):
    print(line, flush=True)
"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--directory", type=click.Path(path_type=Path), default=Path(".demo"),
              show_default=True, help="Where its data, files and logs are kept.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Empty the directory first.")
@click.option("--port", type=int, help="Port of the web server; a free one by default.")
@click.pass_context
@sentences
def demo(ctx: click.Context, directory: Path, fresh: bool, port: int | None) -> None:
    """Run this app with servers, workers, beat, a web server and jobs to look at.

    Postgres and Valkey are its own, on free ports of this machine, and their data are kept for
    the next start. With JOBMONITOR_DATABASE_URL and BROKER_URL both in the environment those
    are used instead. Ctrl-C stops everything within seconds; what ran then goes on at the next
    start. The jobs are those of the app's `demo`, a callable that takes the directory and
    yields lines to print; they are submitted at each start: importing twice changes nothing.
    """
    place = place_of_app(ctx)
    given = _given_addresses(fresh)
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    running = ExitStack()
    try:
        Demo(place, directory, running).run(given, fresh, _checked(port))
    except KeyboardInterrupt:
        say("\nstopping")
    finally:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        running.close()
    say("stopped; nothing is left running")


class Demo:
    """One start of the demo, from its servers to the moment when it is interrupted."""

    def __init__(self, place: AppPlace, directory: Path, running: ExitStack) -> None:
        self._place = place
        self._directory = directory
        self._running = running
        self._began = time.monotonic()
        self._began_at = datetime.now(UTC)
        self._servers: EmbeddedServers | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._web = ""
        self._welcomed = self._saw_finish = self._is_complete = False

    def run(self, given: Addresses | None, fresh: bool, port: int) -> None:
        """Start everything, then watch over it for ever."""
        self._take_directory(fresh)
        addresses = given or self._start_servers()
        os.environ[DATABASE_URL_VARIABLE] = addresses.database_url
        os.environ[BROKER_URL_VARIABLE] = addresses.broker_url
        os.environ[APP_VARIABLE] = self._place.name
        migrate(addresses.database_url)
        self._database = Database(addresses.database_url)
        self._running.callback(self._database.close)
        self._start_processes(port)
        threading.Thread(target=self._dispatch, daemon=True).start()
        self._write_environment()
        self._let_somebody_in()
        while True:
            self._tick()
            time.sleep(_TICK)

    # -- start -----------------------------------------------------------------------------

    def _take_directory(self, fresh: bool) -> None:
        directory = ServerDirectory(self._directory)
        directory.lock()
        self._running.callback(directory.unlock)
        if fresh:
            directory.empty()
        (self._directory / "logs").mkdir(exist_ok=True)

    def _start_servers(self) -> Addresses:
        say("starting Postgres and Valkey")
        self._servers = EmbeddedServers(self._directory / "servers")
        return self._running.enter_context(self._servers)

    def _start_processes(self, port: int) -> None:
        say(f"starting two workers, beat and the web server, logs in {self._directory}/logs")
        self._processes = Processes(self._directory / "logs")
        self._running.callback(self._processes.stop)
        self._start_worker("one")
        self._processes.start(
            "web", "gunicorn", "-b", f"{HOST}:{port}", "-k", "gthread", "--threads", "16",
            "--graceful-timeout", "2", "--no-control-socket", "flask_panel:create_app()",
        )  # fmt: skip
        self._web = f"http://{HOST}:{port}"

    def _start_worker(self, name: str) -> None:
        options = ("-n", f"{name}@demo", "-c", "2", "-l", "INFO")
        quick = ("--without-gossip", "--without-mingle")
        celery = ("celery", "-A", self._place.given, "worker")
        self._processes.start(f"worker-{name}", *celery, *options, *quick)

    def _start_the_rest(self) -> None:
        """Start what the first job does not need: four at once would only wait longer."""
        self._is_complete = True
        self._start_worker("two")
        schedule = ("-s", str(self._directory / "beat-schedule"), "-l", "INFO")
        self._processes.start("beat", "celery", "-A", self._place.given, "beat", *schedule)

    def _dispatch(self) -> None:
        """Submit the jobs of the app, in a process whose app finds the servers.

        It dies with the demo, whose thread here stays until it ends.
        """
        place = (self._place.module, self._place.attribute, str(self._directory))
        command = dying_with_us(sys.executable, "-c", _DISPATCH, *place)
        log = self._directory / "logs" / "dispatch.log"
        with (
            log.open("ab") as errors,
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            for line in process.stdout or ():
                self._lines.put(line.rstrip("\n"))
        if process.returncode:
            self._lines.put(f"not all jobs were submitted; see {log}")

    # -- watch -----------------------------------------------------------------------------

    def _tick(self) -> None:
        self._revive_servers()
        self._processes.revive()
        elapsed = time.monotonic() - self._began
        late = elapsed > _PATIENCE
        if not self._welcomed and (late or _answers(self._web)):
            self._welcome(late)
        if not self._saw_finish:
            self._look_for_finish(late)
        if not self._is_complete and (self._saw_finish or elapsed > _ALONE):
            self._start_the_rest()
        while self._welcomed and not self._lines.empty():
            say(f"  {self._lines.get()}")

    def _revive_servers(self) -> None:
        for server in (self._servers.postgres, self._servers.redis) if self._servers else ():
            if not is_alive(server.pid):
                say(f"{server.title} ended; it is started again")
                server.start()

    def _welcome(self, late: bool) -> None:
        self._welcomed = True
        if late:
            say(f"the web server does not answer: see {self._directory}/logs/web.log")
        celery = f"celery -A {self._place.given}"
        say(f"""
panel     {self._web}
log in    {USER_NAME}, password {self._kept("password")}
API       {self._web}/api/v1/jobs, described by {self._web}/api/v1/openapi.json
token     {self._kept("token")}
data      {self._directory}, kept for the next start (--fresh starts anew)

In a second terminal, in this folder:

  . {shlex.quote(str(self._directory / "env"))}
  {celery} jobs list --all
  {celery} control -d one@demo shutdown    # no reply; it is started again
  curl -H "Authorization: Bearer $JOBMONITOR_TOKEN" $JOBMONITOR_WEB/api/v1/jobs""")

    def _look_for_finish(self, late: bool) -> None:
        """Say when the first job was done, counted from the start of this command."""
        wanted = Filters(
            status=("finished",), system=False, finished_from=self._began_at, roots_only=False
        )
        try:
            jobs = Queries(self._database).find(wanted).jobs
        except JobMonitorError:
            return
        ends = [job.finished_at for job in jobs if job.finished_at]
        self._saw_finish = bool(ends) or late
        if ends:
            took = (min(ends) - self._began_at).total_seconds()
            say(f"the first job finished after {seconds(took)}")
        elif late:
            say(f"no job has finished: see {self._directory}/logs")

    # -- what a second terminal needs ------------------------------------------------------

    def _write_environment(self) -> None:
        programs = str(Path(sys.executable).parent)
        exports = {
            DATABASE_URL_VARIABLE: os.environ[DATABASE_URL_VARIABLE],
            BROKER_URL_VARIABLE: os.environ[BROKER_URL_VARIABLE],
            "JOBMONITOR_WEB": self._web,
            "JOBMONITOR_TOKEN": self._token(),
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
        lines.append(f'export PATH={shlex.quote(programs)}:"$PATH"')
        _write_secret(self._directory / "env", "\n".join(lines) + "\n")

    def _token(self) -> str:
        """Return an operator's token for the API: that of the last start, or a new one."""
        file, tokens = self._directory / "token", Tokens(self._database)
        if file.exists() and tokens.check(file.read_text()):
            return file.read_text()
        if any(token["name"] == TOKEN_NAME for token in tokens.list()):
            tokens.revoke(TOKEN_NAME)
        _write_secret(file, tokens.create(TOKEN_NAME, "operator"))
        return self._kept("token")

    def _let_somebody_in(self) -> None:
        """Make sure that the demo's user may log in, with the password that is kept."""
        file, users = self._directory / "password", Users(self._database)
        known = any(user["name"] == USER_NAME for user in users.list())
        if known and file.exists():
            return
        _write_secret(file, secrets.token_urlsafe(9))
        if known:
            users.change(USER_NAME, password=self._kept("password"))
        else:
            users.create(USER_NAME, "operator", self._kept("password"))

    def _kept(self, name: str) -> str:
        return (self._directory / name).read_text()


def _given_addresses(fresh: bool) -> Addresses | None:
    """Read the addresses of servers that are there already, if the environment has them."""
    database_url = os.environ.get(DATABASE_URL_VARIABLE)
    broker_url = os.environ.get(BROKER_URL_VARIABLE)
    if not database_url and not broker_url:
        return None
    if not database_url or not broker_url:
        raise ConfigurationError(
            f"set both {DATABASE_URL_VARIABLE} and {BROKER_URL_VARIABLE} to use servers that "
            "are there already, or neither"
        )
    if fresh:
        raise ConfigurationError(
            f"--fresh empties only servers of its own; {DATABASE_URL_VARIABLE} names another"
        )
    return Addresses(database_url, broker_url)


def _checked(port: int | None) -> int:
    if port is None:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"port {port} cannot be used: {error}") from error
    return port


def _answers(web: str) -> bool:
    try:
        with urlopen(f"{web}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _write_secret(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as new:
        new.write(text)


def _interrupt(*_: Any) -> None:
    """End the demo, once: what comes while it stops is ignored."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


COMMANDS = {"demo": demo}
