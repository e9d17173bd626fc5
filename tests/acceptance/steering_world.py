"""A fair queue whose worker takes nothing until a test lets it, and what it was given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import redis

from jobmonitor.monitor import Jobs
from jobmonitor.transport.fair_queue import FairQueue
from tests.acceptance_fixtures import APP, tasks_beside
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, workers

QUEUE, TASKS = "steered", "tests.acceptance.steering_tasks"
OPTIONS = ("-Q", f"{QUEUE},celery", "--include", TASKS)


@dataclass
class Line:
    """A queue whose worker takes nothing until it is let."""

    shop: ModuleType
    queue: FairQueue
    client: redis.Redis

    @property
    def jobs(self) -> Jobs:
        return self.shop.monitor.jobs

    def submit(self, word: str, under: str | None = None, **options: Any) -> str:
        """Submit one job, below another one or not."""
        above = {"parent_id": under, "root_id": self.jobs.get(under).root_id} if under else {}
        found: str = self.shop.traced.apply_async((word,), queue=QUEUE, **above, **options).id
        return found

    def submit_many(self, count: int, under: str, word: str) -> list[str]:
        """Submit children."""
        above = {"parent_id": under, "root_id": self.jobs.get(under).root_id}
        children = self.shop.monitor.submit_many(
            self.shop.traced.s(f"{word} {number}").set(queue=QUEUE, **above)
            for number in range(count)
        )
        return [child.id for child in children]

    def deliveries(self) -> int:
        """Count the messages that were given to a worker so far."""
        return int(self.meta("lease_seq"))

    def meta(self, field: str) -> int:
        return int(self.client.hget(f"{self.queue.base}meta", field) or 0)

    def flow(self) -> None:
        """Let the worker take what it may, and wait until it has nothing to do."""
        last = self.submit("last")
        self.queue.pause(on=False)
        self.jobs.wait_for(last, timeout=30)
        eventually(self._is_idle, within=30, says="the worker has nothing to do")
        self.queue.pause(on=True)

    def _is_idle(self) -> bool:
        return not any(map(self.meta, ("waiting", "low:waiting", "inflight")))

    def dispatches(self, ids: list[str]) -> set[int]:
        with self.shop.monitor.database.connection() as connection:
            rows = connection.execute("SELECT dispatch FROM job WHERE id = ANY(%s)", (ids,))
            return {row[0] for row in rows.fetchall()}

    def owes(self, ids: list[str]) -> bool:
        """Whether Celery has not been told of all ends of these jobs."""
        with self.shop.monitor.database.connection() as connection:
            owed = "SELECT FROM job WHERE id = ANY(%s) AND outbox IS NOT NULL"
            return bool(connection.execute(owed, (ids,)).fetchall())

    def statuses(self, ids: list[str]) -> set[str]:
        return {job.status.value for job in self.jobs.some(ids)}


@pytest.fixture(scope="module")
def steering_tasks(shop: ModuleType) -> Iterator[ModuleType]:
    with tasks_beside(TASKS) as module:
        yield module


@pytest.fixture(scope="module")
def consumed(
    shop: ModuleType,
    steering_tasks: ModuleType,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Line]:
    directory = tmp_path_factory.mktemp("log")
    with (
        redis.Redis.from_url(
            redis_of(environment["BROKER_URL"]), decode_responses=True
        ) as client,
        workers(Worker(APP, environment, directory, concurrency=1, options=OPTIONS)),
    ):
        made = Line(shop, FairQueue(client, QUEUE), client)
        made.flow()  # deliveries are counted from the first one on
        yield made


@pytest.fixture
def line(consumed: Line) -> Iterator[Line]:
    """The queue, empty and closed."""
    consumed.queue.pause(on=True)
    yield consumed
    consumed.queue.pause(on=True)
    consumed.queue.purge()
    for key in consumed.client.keys(f"{consumed.queue.base}marks:*"):
        consumed.client.delete(key)
