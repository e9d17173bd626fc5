"""Servers as a test wants them: a replica, a sentinel, a node of a cluster, another program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import redis

from jobmonitor.embedded.binaries import find_redis
from jobmonitor.embedded.process import HOST, free_port
from tests.waiting import eventually
from tests.workers import die_with_parent

_EVERY = ("appendonly no", 'save ""', "daemonize no", "maxmemory-policy noeviction")


class Node:
    """A server process without a password; it dies with the test process."""

    def __init__(
        self, directory: Path, *settings: str, program: Path | None = None, mode: str = ""
    ) -> None:
        """`settings` are lines of its file; `mode` is an option such as --sentinel."""
        directory.mkdir(parents=True)
        self.port = free_port()
        self._program = program or find_redis(None)
        self._mode = mode
        self._file, self._log = directory / "server.conf", directory / "server.log"
        lines = [f"port {self.port}", f"bind {HOST}", f'dir "{directory}"']
        lines += [*(() if mode else _EVERY), *settings]
        self._file.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its database 0."""
        return f"redis://{HOST}:{self.port}/0"

    @cached_property
    def client(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Node:
        """Start it, and wait until it answers."""
        command = [str(self._program), str(self._file), *filter(None, [self._mode])]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=die_with_parent,
                restore_signals=False,  # a limit of its files is then an error, not its end
            )  # fmt: skip
        eventually(self._answers, within=20, says=f"{command} answers")
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"the server ended:\n{self._log.read_text()[-2000:]}")
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def started(*nodes: Node) -> Iterator[tuple[Node, ...]]:
    """Start servers one after the other, and kill them at the end."""
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.client.close)
            stack.callback(node.kill)
            node.start()
        yield nodes
