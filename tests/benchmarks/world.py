"""The servers of a benchmark, the app in this process, and one worker for it."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import redis

from jobmonitor.embedded import PostgresServer, RedisServer
from jobmonitor.records.database import migrate
from tests.brokers import fair
from tests.workers import Worker

APP = "tests.benchmarks.app"
KINDS = ("plain", "recorded", "jobmonitor")


@dataclass(frozen=True, slots=True)
class World:
    """Two servers of the benchmark's own."""

    postgres: PostgresServer
    broker: RedisServer
    directory: Path

    def environment(self, kind: str) -> dict[str, str]:
        """What the app reads from its environment; jobmonitor is on its own transport."""
        broker = self._broker_url(kind)
        return {
            "BENCH_KIND": kind,
            "BENCH_DATABASE_URL": self.postgres.url,
            "BENCH_BROKER_URL": fair(broker) if kind == "jobmonitor" else broker,
        }

    def _broker_url(self, kind: str) -> str:
        return f"{self.broker.url.rpartition('/')[0]}/{KINDS.index(kind)}"

    @contextmanager
    def app(self, kind: str) -> Iterator[ModuleType]:
        """Import the app of a kind into this process."""
        before = dict(os.environ)
        os.environ.update(self.environment(kind))
        sys.modules.pop(APP, None)
        module = importlib.import_module(APP)
        try:
            yield module
        finally:
            module.app.close()
            os.environ.clear()
            os.environ.update(before)

    def client(self, kind: str) -> redis.Redis:
        """A connection to the broker of a kind."""
        return redis.Redis.from_url(self._broker_url(kind))

    @contextmanager
    def worker(self, kind: str, *, concurrency: int = 2) -> Iterator[Worker]:
        """Run one worker of two processes; it does not wait until the worker is ready."""
        one = Worker(
            APP, self.environment(kind), self.directory, concurrency=concurrency,
            options=("-l", "WARNING"), forked=False,
        )  # fmt: skip
        one.start(wait=False)
        try:
            yield one
        finally:
            if one.alive:
                one.stop()


@contextmanager
def world() -> Iterator[World]:
    """Start a Postgres that is durable and a broker that is not, and end them."""
    with tempfile.TemporaryDirectory(prefix="jobmonitor-bench-") as name:
        directory = Path(name)
        postgres = PostgresServer(directory / "postgres", durable=True)
        broker = RedisServer(directory / "redis", durable=False)
        postgres.start()
        broker.start()
        try:
            migrate(postgres.url)
            yield World(postgres, broker, directory)
        finally:
            broker.stop()
            postgres.stop()
