"""One broker, the workers of the plain app on it, and what their jobs have written."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from jobmonitor.transport.fair_queue import publish_arguments
from jobmonitor.transport.keys import base_of
from jobmonitor.transport.scripts import script
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.transport.plain_app"
#: quick recovery, and still long enough for a busy machine
QUICK = {"beat_every": 0.5, "lost_after": 4}
_STAYS = {"meta", "est", "cons", "slots", "wake"}


class World:
    """A context manager: its workers and connections end with it."""

    def __init__(
        self, broker_url: str, directory: Path, options: dict[str, Any] | None = None,
        client: redis.Redis | None = None,
    ) -> None:  # fmt: skip
        """`client` looks at the server where the broker URL alone does not lead to it."""
        self.broker_url = broker_url
        self.options = QUICK | (options or {})
        self.redis = client or redis.Redis.from_url(redis_of(broker_url))
        self._directory = directory
        self._stack = ExitStack()
        self._app = self.publisher(broker_url)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        self.redis.close()

    # -- workers and jobs ------------------------------------------------------------------

    def worker(self, queues: str, /, broker_url: str | None = None, **options: Any) -> Worker:
        """Make a worker of some queues; keywords as of Worker, in capitals for its app."""
        environment = {
            "BROKER_URL": broker_url or self.broker_url,
            "TRANSPORT_OPTIONS": json.dumps(self.options),
            "TRACE_DIRECTORY": str(self._directory),
            "C_FORCE_ROOT": "1",
        } | {name: str(options.pop(name)) for name in list(options) if name.isupper()}
        more = ("-Q", queues, *options.pop("options", ()))
        return Worker(APP, environment, self._directory, options=more, **options)

    def start(self, queues: str, /, **options: Any) -> Worker:
        """Start a worker that ends with this world."""
        (worker,) = self.start_all(self.worker(queues, **options))
        return worker

    def start_all(self, *made: Worker) -> tuple[Worker, ...]:
        """Start workers at once."""
        return self._stack.enter_context(workers(*made))

    def publisher(self, broker_url: str) -> Celery:
        """Make an app that publishes by a broker URL."""
        app = Celery("publisher", broker=broker_url, set_as_current=False)
        app.conf.broker_transport_options = self.options
        self._stack.callback(app.close)
        return app

    def publish(self, task: str, name: str, *arguments: Any, **options: Any) -> None:
        """Publish a job; keywords as of `send_task`, with the queue among them."""
        self._app.send_task(f"{APP}.{task}", (name, *arguments), ignore_result=True, **options)

    def copy_due(self, queue: str, count: int) -> None:
        """Publish copies of the one job that is due later: by Celery it would take minutes."""
        name, kept = next(iter(self.redis.hgetall(self.key(queue, "due_messages")).items()))
        due = self.redis.zscore(self.key(queue, "due"), name)
        payload, verb = kept[kept.index(b"{") :], script("publish")
        for first in range(1, count + 1, 1_000):
            with self.redis.pipeline(transaction=False) as pipe:
                for number in range(first, first + 1_000):
                    arguments = publish_arguments(
                        payload, id=f"copy-{number}", producer="copies", number=number,
                        root=f"copy-{number}", again=False, low=False, step=0, weight=None,
                        due=due,
                    )  # fmt: skip
                    pipe.fcall(verb.name, 1, self.key(queue, ""), *arguments)
                pipe.execute()

    def take_over(self, worker: Worker, queue: str) -> None:
        """Let a worker consume from one more queue."""
        self._app.control.add_consumer(queue, destination=[f"{worker.name}@test"])

    def leave(self, worker: Worker, queue: str) -> None:
        """Let a worker consume from one queue less."""
        here = [f"{worker.name}@test"]
        assert self._app.control.cancel_consumer(queue, destination=here, reply=True, limit=1)

    def shrink(self, worker: Worker) -> None:
        """Take a process, and with it a credit, from a worker."""
        self._app.control.pool_shrink(1, destination=[f"{worker.name}@test"])

    def grow(self, worker: Worker, processes: int) -> None:
        """Give processes, and with them credits, to a worker."""
        self._app.control.pool_grow(processes, destination=[f"{worker.name}@test"])

    def release(self, what: str | int) -> None:
        """Let a held job end, by its name, or one run of it by its process."""
        (self._directory / f"release-{what}").touch()

    # -- what was written ------------------------------------------------------------------

    def runs(self, name: str, what: str = "start") -> list[int]:
        """The processes that have begun a job, in this order; or that have ended it."""
        trace = self._directory / "trace"
        lines = trace.read_text().splitlines() if trace.exists() else []
        found = [line.split(" ") for line in lines]
        return [int(pid) for event, job, pid in found if (event, job) == (what, name)]

    def has_begun(self, name: str, times: int = 1) -> list[int]:
        """Wait until a job has begun so often."""
        return eventually(
            lambda: len(self.runs(name)) >= times and self.runs(name),
            within=40, says=f"{name} has begun {times} times",
        )  # fmt: skip

    def has_ended(self, *names: str) -> None:
        """Wait until jobs have ended once."""
        for name in names:
            eventually(lambda n=name: self.runs(n, "end"), within=40, says=f"{name} has ended")

    def serves(self, queue: str, name: str) -> None:
        """Publish one more job and wait for its end: the queue is served."""
        self.publish("nap", name, queue=queue)
        self.has_ended(name)

    # -- what is in Redis ------------------------------------------------------------------

    def key(self, queue: str, name: str) -> str:
        """Name a key of a fair queue."""
        return base_of(self.options.get("global_keyprefix", ""), queue) + name

    def leases(self, queue: str) -> dict[str, int]:
        """How many messages each consumer of a queue holds."""
        held = {}
        for key in self.redis.scan_iter(self.key(queue, "c:*")):
            fields = [name.decode() for name in self.redis.hkeys(key)]
            held[key.decode()] = sum(name.startswith("f") for name in fields)
        return {consumer: count for consumer, count in held.items() if count}

    def beats(self, queue: str, seconds: float) -> None:
        """Wait until the consumers of a queue have beaten for some time."""
        clock = self.redis.time()[0]
        eventually(
            lambda: self._last_beat(queue) > (clock + seconds) * 1000,
            within=40, says="the consumers beat",
        )  # fmt: skip

    def _last_beat(self, queue: str) -> float:
        newest = self.redis.zrange(self.key(queue, "cons"), -1, -1, withscores=True)
        return newest[0][1] if newest else 0.0

    # -- conservation ----------------------------------------------------------------------

    def check(self, queue: str, once: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> None:
        """Check that nothing was lost, that what is to run once did, and that no key is left.

        The jobs of `more` may have run again, where the scenario costs that.
        """
        self.has_ended(*once, *more)
        eventually(lambda: not self.leases(queue), within=40, says="nothing is leased")
        assert {name: len(self.runs(name)) for name in once} == dict.fromkeys(once, 1)
        for name in more:
            assert self.runs(name, "end")
        eventually(lambda: not self.stray(queue), within=20, says=f"no key is left of {queue}")
        counts = self.redis.hmget(self.key(queue, "meta"), "inflight", "waiting", "low:waiting")
        assert [int(count or 0) for count in counts] == [0, 0, 0]

    def stray(self, queue: str) -> list[str]:
        """The keys of a fair queue that ought not to be there when it is idle."""
        base = self.key(queue, "")
        found = [key.decode() for key in self.redis.scan_iter(base.replace("[", "\\[") + "*")]
        names = {key.removeprefix(base) for key in found}
        known = self.redis.zrange(self.key(queue, "cons"), 0, -1)
        names -= _STAYS | {f"c:{consumer.decode()}" for consumer in known}
        return sorted(name for name in names if not name.startswith(("p:", "served:")))
