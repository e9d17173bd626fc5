"""A server as a process: started on a free port, awaited, stopped, never left behind.

Runs in: the process that starts the server, with one thread per server.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from jobmonitor.embedded.binaries import account_for, within_reach
from jobmonitor.embedded.directory import ServerDirectory
from jobmonitor.errors import ServerError

HOST = "127.0.0.1"
START_WITHIN_S = 60.0  # the recovery after a crash is part of a start
KILL_WITHIN_S = 10.0
PORT_TRIES = 5
READY = "ready to accept connections"  # as all of them write to their log
LOCALE = "C.UTF-8"
# Below the range that the kernel takes for outgoing connections: a client that tries to reach a
# stopped server again and again could otherwise be given the server's own port.
PORTS = range(20_000, 32_000)
LOG_LIMIT_BYTES = 10_000_000

# Becomes the server. The user is changed first, because that would clear the death signal. A
# program of its own and not preexec_fn, which can deadlock where there are threads.
BECOME = """
import ctypes, os, sys
parent, death_signal, uid, gid = map(int, sys.argv[1:5])
if uid:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(death_signal)) != 0:
        sys.exit("the kernel refused PR_SET_PDEATHSIG")
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
os.execv(sys.argv[5], sys.argv[5:])
"""

# Given the path of the data: the command, and what it reads from its standard input.
CommandFor = Callable[[str], tuple[list[str], str]]


class Server(ABC):
    """A server with a directory of its own, which holds its data, password and log."""

    title: str
    # The signals that end it and the seconds each is given; the first is also its death signal.
    farewell: tuple[tuple[signal.Signals, float], ...]

    def __init__(self, directory: Path, *, durable: bool, user: str | None) -> None:
        self.durable = durable
        self.port = 0
        self.also_locked: tuple[int, ...] = ()  # the caller's locked files, for it to keep open
        self._directory = ServerDirectory(directory)
        self._data = self._directory.path / "data"
        self._log = self._directory.path / "server.log"
        self._account = account_for(user)
        self._program = Path()
        self._password = ""
        self._locked: tuple[int, ...] = ()
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """The address with user and password, once it has been started."""

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise ServerError(f"{self.title} is not running")
        return self._process.pid

    def start(self) -> str:
        """Start it, wait until it answers, return its URL; later starts keep the port."""
        if self._process and self._process.poll() is None:
            return self.url
        self.stop()
        self._locked = (self._directory.lock(), *self.also_locked)
        try:
            self._password = self._directory.password()
            self._program = within_reach(self._find_program(), self._account)
            self._make_data()
            self._start_on_port()
        except BaseException:
            self.kill()
            raise
        return self.url

    def stop(self) -> None:
        """Stop it, gently first."""
        self._end(*self.farewell)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._end((signal.SIGKILL, KILL_WITHIN_S))

    def restart(self) -> str:
        """Stop it if it runs, and start it on the same port."""
        self.stop()
        return self.start()

    @abstractmethod
    def _find_program(self) -> Path:
        """Return the server's program."""

    @abstractmethod
    def _fill(self, folder: Path) -> None:
        """Put into a new data folder what the server does not make itself."""

    @abstractmethod
    def _command(self, port: int, data: str) -> tuple[list[str], str]:
        """Return the command that serves these data on a port, and what it reads."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Tell whether the server on this port takes our password and commands."""

    def _make_data(self) -> None:
        """Make the data folder if there is none, under another name until it is complete."""
        if not self._data.exists():
            draft = self._data.with_name("data.unfinished")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            if self._account:
                os.chown(draft, self._account.uid, self._account.gid)
            self._fill(draft)
            draft.rename(self._data)
        owner = self._data.stat().st_uid
        if owner != (self._account.uid if self._account else os.geteuid()):
            raise ServerError(
                f"{self._data} belongs to the user with id {owner}: start {self.title} as this "
                "user, or choose another directory"
            )

    def _start_on_port(self) -> None:
        ports = [self.port] if self.port else [free_port() for _ in range(PORT_TRIES)]
        for port in ports:
            if self._starts_on(port):
                self.port = port
                return
        raise ServerError(f"{self.title} cannot listen: port {ports[-1]} is taken")

    def _starts_on(self, port: int) -> bool:
        """Start it; False if another program has taken the port meanwhile."""
        process = self._spawn(partial(self._command, port), self._data)
        deadline = time.monotonic() + START_WITHIN_S
        while process.poll() is None:
            # Only then the port is its own, and it may be told the password.
            if READY in self._said().lower() and self._answers(port):
                return True
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {START_WITHIN_S:.0f} s")
            time.sleep(0.01)
        if "Address already in use" in self._said():
            return False
        raise self._failure("did not start")

    def _spawn(self, command_for: CommandFor, folder: Path) -> subprocess.Popen[bytes]:
        """Run, as the other user if there is one, the command for the data in a folder."""
        uid, gid = (self._account.uid, self._account.gid) if self._account else (0, 0)
        numbers = (os.getpid(), int(self.farewell[0][0]), uid, gid)
        become = [sys.executable, "-I", "-S", "-c", BECOME, *map(str, numbers)]
        with ExitStack() as opened:
            data = os.open(folder, os.O_RDONLY)
            opened.callback(os.close, data)
            # Its user may be unable to pass the folders above; an open folder needs no passing.
            path = f"/proc/self/fd/{data}" if self._account else str(folder)
            command, text = command_for(path)
            stdin = opened.enter_context(tempfile.TemporaryFile())
            self._hand_over(stdin, text)
            log = opened.enter_context(self._open_log())
            born: Future[subprocess.Popen[bytes]] = Future()
            arguments = (born, [*become, *command], stdin, log, (data, *self._locked))
            threading.Thread(target=keep, args=arguments, daemon=True).start()
            self._process = born.result()
        return self._process

    def _hand_over(self, stdin: IO[bytes], text: str) -> None:
        stdin.write(text.encode())
        stdin.seek(0)
        if self._account:  # initdb opens it anew, as /dev/stdin
            os.fchown(stdin.fileno(), self._account.uid, self._account.gid)

    def _open_log(self) -> IO[bytes]:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.unlink()
        log = self._log.open("ab")
        self._log_start = log.tell()
        return log

    def _end(self, *farewell: tuple[signal.Signals, float]) -> None:
        if self._process:
            for number, within in farewell:
                self._process.send_signal(number)
                try:
                    self._process.wait(within)
                    break
                except subprocess.TimeoutExpired:
                    continue
            self._process = None
        self._directory.unlock()

    def _said(self) -> str:
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    def _failure(self, what: str) -> ServerError:
        lines = self._said().splitlines() or ["it said nothing"]
        telling = [line for line in lines if "FATAL" in line or "rror" in line] or lines
        return ServerError(f"{self.title} {what}: {telling[-1].strip()} (see {self._log})")


def keep(
    born: Future[subprocess.Popen[bytes]],
    command: list[str],
    stdin: IO[bytes],
    log: IO[bytes],
    keeps_open: tuple[int, ...],
) -> None:
    """Start a server and stay until it ends, for it ends with the thread that started it."""
    try:
        process = subprocess.Popen(
            command,
            cwd="/",
            env=environment(),
            stdin=stdin,
            stdout=log,
            stderr=log,
            pass_fds=keeps_open,
            start_new_session=True,  # a Ctrl-C is for whoever started it, not for the server
        )
    except OSError as error:
        born.set_exception(error)
        return
    born.set_result(process)
    process.wait()


def environment() -> dict[str, str]:
    """Return what a server may know of our environment, which may hold secrets: little."""
    names = ("PATH", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in names if name in os.environ} | {"LC_ALL": LOCALE}


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
