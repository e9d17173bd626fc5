"""A process that has imported Celery and the libraries, and workers that are forked from it.

`celery worker` spends two seconds of processor on these imports, and the tests start hundreds.
Nothing of ours and no app is there before the fork. As a program it is that process: asked over
a socket it forks a steward, and this the worker, whose pid and exit code it tells.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parent.parent
IMPORTS = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
_PR_SET_PDEATHSIG = 1
_LONGEST = 200_000
PRELOADED = (
    "alembic.command", "celery.__main__", "celery.app.amqp", "celery.app.control",
    "celery.apps.worker", "celery.backends.redis", "celery.bin.celery",
    "celery.concurrency.prefork", "celery.loaders.app", "celery.worker.consumer",
    "celery.worker.strategy", "psycopg", "sqlalchemy.dialects.postgresql.psycopg",
)  # fmt: skip


def die_with_parent() -> None:
    """Let the kernel kill this process when the one that started it is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Forked:
    """A `celery` process; what the tests need of a Popen."""

    def __init__(self, words: list[str], environment: dict[str, str], log: IO[bytes]) -> None:
        self._steward, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            order = json.dumps([words, environment]).encode()
            _, control = _preloaded()
            socket.send_fds(control, [order], [theirs.fileno(), log.fileno()])
        self.pid = int(self._steward.recv(_LONGEST))
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, as of Popen, or None while it lives."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float) -> int:
        """Wait for its end; the exit code, as of Popen."""
        if self._exit_code is None:
            self._steward.settimeout(timeout)
            try:
                said = self._steward.recv(_LONGEST)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("celery", timeout) from None
            self._steward.close()
            self._exit_code = int(said or -signal.SIGKILL)  # it has died with its steward
        return self._exit_code

    def send_signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def _preloaded() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process that is forked; it ends when this socket is closed, so with us."""
    control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": IMPORTS}, cwd=REPOSITORY,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
        )  # fmt: skip
    return process, control


# -- the process that is forked ------------------------------------------------------------


def preload() -> None:
    """Import what every worker imports before it is ready."""
    for name in PRELOADED:
        importlib.import_module(name)


def serve(control: socket.socket) -> None:
    """Fork a steward for each order, until nobody can give one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a steward ended
    while True:
        order, (*files,), _, _ = socket.recv_fds(control, _LONGEST, 2)
        if not order:
            return
        if os.fork() == 0:
            control.close()
            steward(json.loads(order), *files)
            return
        for file in files:
            os.close(file)


def steward(order: Any, connection: int, log: int) -> None:
    """Start the worker and tell its pid and its exit code; returns in the worker."""
    die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(connection)
        become_celery(*order, log)
    with socket.socket(fileno=connection) as tests, suppress(BrokenPipeError):
        tests.send(str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        tests.send(str(code).encode())
    os._exit(0)


def become_celery(words: list[str], environment: dict[str, str], log: int) -> None:
    """Go on as `python -m celery` would with these words; raises SystemExit at its end."""
    from celery import __main__ as celery

    die_with_parent()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(celery.__file__), *words]
    sys.exit(celery.main())


if __name__ == "__main__":
    preload()
    serve(socket.socket(fileno=int(sys.argv[1])))
