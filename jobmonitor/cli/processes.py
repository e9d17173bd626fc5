"""Processes that belong to a demo: started, watched, and gone with it.

Runs in: the terminal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click

_PR_SET_PDEATHSIG = 1
_PATIENCE = 8.0
_RESTARTS_MAX = 5


@dataclass(slots=True)
class _Started:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes]
    restarts: int = 0


class Processes:
    """Starts processes whose output goes to log files; they die when this process dies."""

    def __init__(self, logs: Path, stop: threading.Event) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._stop = stop
        self._started: list[_Started] = []

    def start(self, name: str, command: list[str]) -> None:
        """Start a process that is to run until the end."""
        self._started.append(_Started(name, command, self._spawn(name, command)))

    def run(self, command: list[str]) -> None:
        """Run a short process to its end."""
        subprocess.run(command, check=False, timeout=30, stdout=subprocess.DEVNULL)

    def watch(self) -> None:
        """Wait until asked to stop; say when a process ends before, and start it again."""
        while not self._stop.wait(0.5):
            for one in self._started:
                code = one.process.poll()
                if code is None or one.restarts > _RESTARTS_MAX:
                    continue
                one.restarts += 1
                if one.restarts > _RESTARTS_MAX:
                    click.echo(f"{one.name} ended too often; see its log", err=True)
                    continue
                click.echo(f"{one.name} ended ({code}); it is started again", err=True)
                one.process = self._spawn(one.name, one.command)

    def stop(self) -> None:
        """Ask all to end, and after some seconds end them."""
        for one in reversed(self._started):
            _signal(one.process, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        for one in self._started:
            try:
                one.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(one.process, signal.SIGKILL)
                one.process.wait()
        self._started = []

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip


def free_port() -> int:
    """Find a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            os._exit(1)
