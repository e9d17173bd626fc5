"""One broker of the benchmark's own, a database a kind, the workers of one kind at a time."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from jobmonitor.embedded import RedisServer
from jobmonitor.transport.keys import base_of
from tests.benchmarks.fair import trace
from tests.benchmarks.fair.jobs import KINDS, make_app
from tests.brokers import left_in
from tests.workers import Worker

BASE = base_of("", "celery")
THREADS = 16
_LONGEST = 300.0
Job = tuple[str, tuple[Any, ...], str]


@dataclass(slots=True)
class Arena:
    """A queue of one kind, from empty to filled and worked on."""

    kind: str
    url: str
    directory: Path
    app: Celery
    client: redis.Redis
    options: Mapping[str, Any]
    workers: list[Worker] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)

    @property
    def trace(self) -> Path:
        """Where the jobs write down when they ran."""
        return self.directory / f"{self.kind}.trace"

    def runs(self) -> list[trace.Run]:
        """What has run so far."""
        return trace.read(self.trace)

    def fill(self, jobs: Iterable[Job]) -> None:
        """Submit in bulk: a task, its arguments and its root each."""
        with (
            self.app.producer_pool.acquire(block=True) as producer,
            producer.batch(max_size=1_000),
        ):
            for name, arguments, root in jobs:
                self.submit(name, arguments, root, producer=producer)

    def submit(self, name: str, arguments: tuple[Any, ...], root: str, **options: Any) -> None:
        """Submit one job of a root."""
        self.app.tasks[name].apply_async(arguments, root_id=root, **options)

    def nap(self, root: str, seconds: float) -> None:
        """Submit one job that sleeps, now."""
        self.submit("nap", (root, time.time(), seconds), root)

    def start(self, *options: str, concurrency: int) -> None:
        """Start a worker; it does not wait until the worker is ready."""
        environment = {
            "BENCH_KIND": self.kind,
            "BENCH_BROKER_URL": self.url,
            "BENCH_OPTIONS": json.dumps(self.options),
            "BENCH_TRACE": str(self.trace),
        }
        worker = Worker(
            "tests.benchmarks.fair.app", environment, self.directory, concurrency=concurrency,
            options=("-l", "WARNING", "--without-heartbeat", *options), forked=False,
        )  # fmt: skip
        self.workers.append(worker.start(wait=False))

    def start_threads(self) -> float:
        """Start the pool of threads on a filled queue; when its first job began."""
        self.start("--pool=threads", concurrency=THREADS)
        until(lambda: bool(self.runs()), says="the worker has begun")
        return self.runs()[0].began

    @property
    def pid(self) -> int:
        """The process id of the first worker."""
        return self.workers[0].pid

    def key(self, name: str) -> str:
        """Name a key of the fair queue."""
        return BASE + name

    def left(self) -> int:
        """Count what waits or is held by a worker."""
        return left_in(self.client)

    def p95_ping(self) -> float:
        """How long the broker took to answer a PING meanwhile, in ms."""
        return 1_000 * trace.percentile(self.pings, 0.95) if self.pings else 0.0


@dataclass(frozen=True, slots=True)
class World:
    """The broker."""

    broker: RedisServer
    directory: Path

    @contextmanager
    def arena(self, kind: str, options: Mapping[str, Any] | None = None) -> Iterator[Arena]:
        """Make an empty queue of a kind; at the end its workers are killed, its data removed.

        Killed, not asked to end: plain Celery may hang then amid many tiny jobs.
        """
        url = f"{self.broker.url.rpartition('/')[0]}/{KINDS.index(kind)}"
        with (
            redis.Redis.from_url(url) as client,
            tempfile.TemporaryDirectory(dir=self.directory) as name,
        ):
            client.flushdb()
            arena = Arena(
                kind, url, Path(name), make_app(kind, url, options or {}), client, options or {}
            )  # fmt: skip
            with _pinging(url, arena.pings):
                try:
                    yield arena
                finally:
                    _kill(arena.workers)
                    arena.app.close()
                    client.flushdb()


@contextmanager
def world() -> Iterator[World]:
    """Start a broker that is not durable, and end it."""
    with tempfile.TemporaryDirectory(prefix="jobmonitor-bench-") as name:
        broker = RedisServer(Path(name) / "redis", durable=False)
        broker.start()
        try:
            yield World(broker, Path(name))
        finally:
            broker.stop()


def until(condition: Callable[[], bool], *, says: str, within: float = _LONGEST) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within:g} s: {says}")
        time.sleep(0.01)


def rest_until(moment: float) -> None:
    """Let the worker work until a time of day."""
    time.sleep(max(moment - time.time(), 0.0))


def _kill(workers: list[Worker]) -> None:
    for worker in filter(lambda one: one.alive, workers):
        family = worker.children
        worker.kill()
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextmanager
def _pinging(url: str, taken: list[float]) -> Iterator[None]:
    stopped = threading.Event()

    def ping() -> None:
        with redis.Redis.from_url(url) as client:
            while not stopped.wait(0.02):
                began = time.perf_counter()
                client.ping()
                taken.append(time.perf_counter() - began)

    thread = threading.Thread(target=ping, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(5)
