"""Real worker processes for tests: started, stopped, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.preloaded import IMPORTS, REPOSITORY, Forked, die_with_parent
from tests.waiting import eventually

__all__ = ["IMPORTS", "REPOSITORY", "Worker", "die_with_parent", "stop_all", "workers"]

#: what Python reads when it starts, and Celery when it is imported
_READ_EARLY = ("PYTHON", "REMAP_SIGTERM")


class Worker:
    """A `celery worker` process of an app; it dies with the test process."""

    def __init__(
        self,
        app: str,
        environment: dict[str, str],
        directory: Path,
        *,
        concurrency: int = 2,
        name: str | None = None,
        options: tuple[str, ...] = (),
        forked: bool = True,
    ) -> None:
        """Not `forked` it shares no memory with others: for who measures it."""
        self.name = name or f"w{uuid.uuid4().hex[:8]}"
        self._app = app
        self._environment = environment
        self._log = directory / f"{self.name}.log"
        self._concurrency = concurrency
        self._options = options
        self._forked = forked
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._began = 0

    # -- life ------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> Worker:
        """Start, and wait until it consumes."""
        words = [
            "-A", self._app, "worker",
            "-n", f"{self.name}@test", "-c", str(self._concurrency), "-l", "INFO",
            "--without-gossip", "--without-mingle", *self._options,
        ]  # fmt: skip
        self._began = len(self.log)
        environment = {**os.environ, "PYTHONPATH": IMPORTS, **self._environment}
        with self._log.open("ab") as log:
            if self._needs_its_own_imports:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "celery", *words], stdout=log, stderr=log,
                    env=environment, cwd=REPOSITORY, preexec_fn=die_with_parent,
                )  # fmt: skip
            else:
                self._process = Forked(words, environment, log)
        if wait:
            eventually(self._is_ready, within=30, says=f"worker {self.name} is ready")
        return self

    def stop(self, *, within: float = 30) -> int:
        """Ask for a warm shutdown and wait for it; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """SIGKILL to its main process."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def signal(self, number: int) -> None:
        """Send a signal to its main process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within: float) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return self._process.wait(within)

    # -- facts -----------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id of its main."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether its main lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def children(self) -> list[int]:
        """The process ids of its pool, oldest first."""
        return sorted(child.pid for child in psutil.Process(self.pid).children())

    @property
    def memory(self) -> int:
        """The resident bytes of its main."""
        return int(psutil.Process(self.pid).memory_info().rss)

    @property
    def log(self) -> str:
        """Everything it has written, over all its starts."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def _needs_its_own_imports(self) -> bool:
        """Gevent patches before all else; some variables are read at an import only."""
        early = any(name.startswith(_READ_EARLY) for name in self._environment)
        gevent = any("gevent" in option for option in self._options)
        return early or gevent or not self._forked

    def _is_ready(self) -> bool:
        if not self.alive:
            raise AssertionError(f"worker {self.name} ended:\n{self.log[-4000:]}")
        return "ready." in self.log[self._began :]


@contextmanager
def workers(*started: Worker) -> Iterator[tuple[Worker, ...]]:
    """Start workers, and kill at the end what still lives."""
    try:
        for worker in started:
            worker.start(wait=False)
        for worker in started:
            eventually(worker._is_ready, within=30, says=f"worker {worker.name} is ready")
        yield started
    finally:
        for worker in started:
            if worker.alive:
                worker.kill()


def stop_all(*running: Worker) -> list[int]:
    """Ask workers for a warm shutdown at once; their exit codes."""
    for worker in running:
        worker.signal(signal.SIGTERM)
    return [worker.wait(30) for worker in running]
