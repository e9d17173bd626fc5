"""The server that is measured, and what it says of itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import redis

from jobmonitor.embedded import RedisServer
from jobmonitor.transport.scripts import load, script

VERBS = ("take", "ack", "publish", "beat")
_MOST_ENTRIES = 1_000_000


class Measured:
    """A server with its log on disk, which is not written anew meanwhile."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._process = psutil.Process(pid)
        self.client = redis.Redis.from_url(url)
        self.client.config_set("auto-aof-rewrite-percentage", 0)
        self.client.config_set("slowlog-max-len", _MOST_ENTRIES)
        load(self.client)

    def processor(self) -> float:
        """Seconds of processor so far."""
        found: Any = self.client.info("cpu")
        return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])

    def interruptions(self) -> int:
        """How often it had to wait for a processor: a call meanwhile seems to take longer."""
        return int(self._process.num_ctx_switches().involuntary)

    def memory(self) -> int:
        """Bytes in use, without the buffers for clients and for the log on disk."""
        found: Any = self.client.info("memory")
        buffers = ("mem_clients_normal", "mem_aof_buffer")
        return int(found["used_memory"]) - sum(int(found[name]) for name in buffers)

    def empty(self) -> None:
        """Remove everything; the memory is free when this returns."""
        self.client.execute_command("FLUSHDB", "SYNC")

    def note_calls(self, *, from_us: int) -> None:
        """Note from now on each command that takes so many microseconds."""
        self.client.config_set("slowlog-log-slower-than", from_us)
        self.client.slowlog_reset()

    def noted(self) -> dict[str, list[int]]:
        """The microseconds of each call of a verb since then."""
        names = {script(verb).name.encode(): verb for verb in VERBS}
        found: dict[str, list[int]] = {verb: [] for verb in VERBS}
        entries: Any = self.client.slowlog_get(-1)
        for entry in entries:
            words = entry["command"].split(b" ", 2)
            if words[0].upper() == b"FCALL" and words[1] in names:
                found[names[words[1]]].append(int(entry["duration"]))
        return found


@contextmanager
def measured() -> Iterator[Measured]:
    """Start a server and end it."""
    with tempfile.TemporaryDirectory(prefix="jobmonitor-scale-") as name:
        server = RedisServer(Path(name) / "redis")
        server.start()
        try:
            found = Measured(server.url, server.pid)
            yield found
            found.client.close()
        finally:
            server.stop()
