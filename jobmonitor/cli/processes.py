"""The processes of a demo: started, watched, started again, and gone when the demo is gone.

Runs in: the terminal, in its main thread: a process dies with the thread that started it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from jobmonitor.embedded.process import BECOME

#: a worker ends its jobs or drains them within this time, or is killed
PATIENCE = 4.0
#: what a process is sent when the demo was killed and can ask nobody any more
DEATH_SIGNAL = signal.SIGKILL
#: what ends sooner than this did not start
_TOO_SOON = 10.0
_TRIES = 3


@dataclass(slots=True)
class Process:
    """One process of the demo; its output goes to a log file."""

    name: str
    command: list[str]
    log: Path
    _tries: int = 0
    _began: float = 0.0
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own: a Ctrl-C is for the demo."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                dying_with_us(*self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._began = time.monotonic()
        self._tries += 1

    def revive(self) -> None:
        """Start it again where it has ended, and say so; not when it never got far."""
        code = self._popen.poll() if self._popen else None
        if code is None or self._popen is None:
            return
        if time.monotonic() - self._began > _TOO_SOON:
            self._tries = 0
        ended = f"{self.name} ended ({_reason(code)})"
        if self._tries < _TRIES:
            say(f"{ended}; it is started again")
            self.start()
        else:
            self._popen = None
            say(f"{ended} {_TRIES} times in a row and stays down: {self._last_line()}")

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._popen is not None:
            self._popen.terminate()

    def end(self, deadline: float) -> None:
        """Wait until it has ended; at the deadline (of time.monotonic) kill it."""
        if self._popen is None:
            return
        try:
            self._popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._popen = None

    def _last_line(self) -> str:
        lines = self.log.read_text("utf-8", "replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"{said[-1] if said else 'it said nothing'} (see {self.log})"


class Processes:
    """The processes of one demo, in the order of their start."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._all: list[Process] = []

    def start(self, name: str, *command: str) -> None:
        """Start a Python module with arguments, its log begun anew."""
        log = self._logs / f"{name}.log"
        log.unlink(missing_ok=True)
        process = Process(name, [sys.executable, "-m", *command], log)
        self._all.append(process)
        process.start()

    def revive(self) -> None:
        """Start again what has ended."""
        for process in self._all:
            process.revive()

    def stop(self) -> None:
        """End all of them within seconds."""
        for process in self._all:
            process.ask_to_end()
        deadline = time.monotonic() + PATIENCE
        for process in self._all:
            process.end(deadline)
        self._all = []


def say(text: str) -> None:
    """Print a line; a terminal that has gone away is no reason to fail."""
    try:
        click.echo(text)
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  it stays until the end


def _reason(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def dying_with_us(*command: str) -> list[str]:
    """Make a command that ends when the thread that starts it ends."""
    facts = (str(os.getpid()), str(int(DEATH_SIGNAL)), "0", "0")
    return [sys.executable, "-I", "-S", "-c", BECOME, *facts, *command]
