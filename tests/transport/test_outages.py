"""The server dies, is silent or refuses, connections break: workers go on, nothing runs twice.

On a server of their own, with workers of the plain app: what keeps their jobs is the transport.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobmonitor.embedded import RedisServer
from jobmonitor.transport.scripts import script
from tests.brokers import fair
from tests.transport.between import Between, between
from tests.transport.world import QUICK, World
from tests.waiting import eventually
from tests.workers import Worker

#: seconds; longer than it takes until a consumer without a beat is lost
TOO_LONG = QUICK["lost_after"] + 2 * QUICK["beat_every"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that has on disk what it has answered."""
    own = RedisServer(tmp_path_factory.mktemp("redis") / "server")
    own.start()
    with redis.Redis.from_url(own.url) as client:
        client.config_set("appendfsync", "always")
    yield own
    own.stop()


@pytest.fixture(scope="module")
def proxy(server: RedisServer) -> Iterator[Between]:
    """What stands between the server and one of the workers."""
    with between(fair(server.url)) as standing:
        yield standing


@pytest.fixture(scope="module")
def world(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(fair(server.url), tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture(scope="module")
def workers(world: World, proxy: Between) -> dict[str, Worker]:
    """Two that serve one queue, and one that reaches the server only through the proxy."""
    made = {name: world.worker("jobs", concurrency=2) for name in ("one", "other")}
    made["behind"] = world.worker("behind", broker_url=proxy.url, concurrency=1)
    world.start_all(*made.values())
    return made


@pytest.fixture(autouse=True)
def nobody_has_ended(workers: dict[str, Worker]) -> Iterator[None]:
    """Whatever happens to the server, no worker ends by it."""
    pids = {name: worker.pid for name, worker in workers.items()}
    yield
    assert {name: worker.pid for name, worker in workers.items() if worker.alive} == pids


def rest(seconds: float) -> None:
    """Let an outage last."""
    time.sleep(seconds)


# -- the server is away ------------------------------------------------------------------------


def test_a_server_that_was_killed_comes_back_with_its_log_and_nothing_runs_twice(
    world: World, server: RedisServer
) -> None:
    for name in ("ends-meanwhile", "goes-on"):
        world.publish("hold", name, queue="jobs", root_id=name)
    for name in ("ends-meanwhile", "goes-on"):
        world.has_begun(name)
    waiting = tuple(f"waits-{number}" for number in range(5))
    for name in waiting:
        world.publish("nap", name, queue="closed", root_id="waits")
    world.publish("nap", "is-due", queue="jobs", countdown=TOO_LONG)
    server.kill()
    world.release("ends-meanwhile")
    world.has_ended("ends-meanwhile")
    rest(TOO_LONG)
    server.restart()
    world.serves("jobs", "is-served-again")
    world.beats("jobs", TOO_LONG)
    assert sum(world.leases("jobs").values()) == 1
    world.release("goes-on")
    world.check("jobs", once=("ends-meanwhile", "goes-on", "is-due", "is-served-again"))
    assert world.redis.llen(world.key("closed", "r:waits")) == len(waiting)


@pytest.mark.parametrize("seconds", [1.5, TOO_LONG], ids=["for a moment", "for too long"])
def test_a_server_that_is_silent_makes_nothing_run_twice(world: World, seconds: float) -> None:
    name = f"silence-{seconds}"
    world.publish("hold", f"{name}-held", queue="jobs")
    world.has_begun(f"{name}-held")
    world.redis.client_pause(int(seconds * 1000))
    world.serves("jobs", f"{name}-after")
    world.beats("jobs", 2 * QUICK["beat_every"])
    world.release(f"{name}-held")
    world.check("jobs", once=(f"{name}-held", f"{name}-after"))


def test_connections_that_are_killed_all_the_time_make_nothing_run_twice(world: World) -> None:
    """While workers ask, wait, run and acknowledge: of so many jobs some hit each state."""
    names = tuple(f"storm-{number}" for number in range(200))
    world.publish("hold", "storm-held", queue="jobs", root_id="held")
    world.has_begun("storm-held")
    for name in names:
        world.publish("nap", name, 0.01, queue="jobs", root_id="storm")
    kills = 0

    def kill_and_look() -> bool:
        nonlocal kills
        kills += world.redis.client_kill_filter(_type="normal", skipme=True)
        return bool(world.runs(names[-1], "end"))

    eventually(kill_and_look, within=60, every=0.3, says="all have run")
    assert kills > 10
    world.beats("jobs", TOO_LONG)
    world.release("storm-held")
    world.check("jobs", once=(*names, "storm-held"))


# -- replies are lost --------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["take", "ack", "beat"])
def test_a_lost_reply_makes_nothing_run_twice(world: World, proxy: Between, verb: str) -> None:
    world.serves("behind", f"before-{verb}")
    lost = proxy.lost
    proxy.lose_reply_of(script(verb).name.encode())
    names = tuple(f"lost-{verb}-{number}" for number in range(5))
    for name in names:
        world.publish("nap", name, queue="behind", root_id="lost")
    eventually(lambda: proxy.lost > lost, within=20, says="a reply is lost")
    world.check("behind", once=names)


def test_a_message_whose_reply_never_comes_runs_elsewhere(
    world: World, proxy: Between, workers: dict[str, Worker]
) -> None:
    """The worker believes to be asking still; its own beats do not name what it never got."""
    world.serves("behind", "silent-before")
    lost = proxy.lost
    proxy.lose_reply_of(script("take").name.encode(), silently=True)
    world.publish("nap", "silent", queue="behind")
    eventually(lambda: proxy.lost > lost, within=20, says="a reply is left out")
    world.take_over(workers["other"], "behind")
    world.check("behind", once=("silent",))


# -- the server refuses ------------------------------------------------------------------------


@contextmanager
def out_of_memory(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)


@contextmanager
def cannot_save(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    """As when the disk is full: the server cannot write its snapshot."""
    folder = Path(client.config_get("dir")["dir"])
    client.config_set("save", "3600 1")
    before = folder.stat().st_mode
    folder.chmod(0o500)
    try:
        client.bgsave()
        eventually(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
            says="the snapshot has failed",
        )
        yield
    finally:
        folder.chmod(before)
        client.config_set("save", "")


@contextmanager
def is_replica(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    """As after a fail-over that a client has not noticed."""
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        yield
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def is_busy(client: redis.Redis, server: RedisServer) -> Iterator[None]:
    """As when a script of somebody else does not end."""
    client.config_set("busy-reply-threshold", 100)
    once = Retry(NoBackoff(), 0)
    with (
        redis.Redis.from_url(server.url, socket_timeout=0.2, retry=once) as other,
        pytest.raises(redis.TimeoutError),
    ):
        other.eval("while true do end", 0)
    try:
        yield
    finally:
        client.script_kill()


@pytest.mark.parametrize(
    ("refuses", "says"),
    [(cannot_save, "MISCONF"), (is_replica, "READONLY"), (is_busy, "BUSY"),
     (out_of_memory, "OOM")],
)  # fmt: skip
def test_a_server_that_refuses_makes_nothing_run_twice(
    world: World, server: RedisServer, says: str,
    refuses: Callable[[redis.Redis, RedisServer], AbstractContextManager[None]],
) -> None:  # fmt: skip
    name = refuses.__name__
    for part in ("ends", "held"):
        world.publish("hold", f"{name}-{part}", queue="jobs", root_id=part)
        world.has_begun(f"{name}-{part}")
    with refuses(world.redis, server):
        with pytest.raises(OperationalError, match=says):
            world.publish("nap", f"{name}-refused", queue="jobs", retry=False)
        world.release(f"{name}-ends")
        world.has_ended(f"{name}-ends")
        rest(TOO_LONG)
    world.serves("jobs", f"{name}-after")
    world.beats("jobs", 2 * QUICK["beat_every"])
    assert sum(world.leases("jobs").values()) == 1
    world.release(f"{name}-held")
    world.check("jobs", once=(f"{name}-ends", f"{name}-held", f"{name}-after"))
    assert not world.runs(f"{name}-refused")


def test_workers_go_on_while_the_server_has_no_memory_left(
    world: World, server: RedisServer
) -> None:
    """Taking, beating and acknowledging free or renew: only what adds is refused."""
    names = tuple(f"memory-{number}" for number in range(10))
    world.start("memory", concurrency=1)
    world.publish("hold", "memory-first", queue="memory")
    world.has_begun("memory-first")
    for name in names:
        world.publish("nap", name, queue="memory", root_id="memory")
    with out_of_memory(world.redis, server):
        world.release("memory-first")
        world.has_ended("memory-first", *names)
        world.beats("memory", TOO_LONG)
    world.check("memory", once=("memory-first", *names))


# -- what is due later -------------------------------------------------------------------------


def test_a_hundred_thousand_scheduled_jobs_cost_a_worker_no_memory_and_survive_restarts(
    world: World, server: RedisServer
) -> None:
    worker = world.start("later", concurrency=1)
    world.serves("later", "later-before")
    before = worker.memory
    world.publish("nap", "later-sample", queue="later", countdown=3600)
    world.copy_due("later", copies := 100_000)
    world.publish("nap", "later-soon", queue="later", countdown=3)
    world.has_ended("later-soon")
    assert worker.memory - before < 5_000_000
    server.kill()
    server.restart()
    worker.kill()
    again = world.start("later", concurrency=1)
    world.serves("later", "later-after")
    assert world.redis.zcard(world.key("later", "due")) == copies + 1
    moment = world.redis.time()[0] * 1000
    due = world.redis.zrange(world.key("later", "due"), 0, 19)
    world.redis.zadd(world.key("later", "due"), dict.fromkeys(due, moment))
    eventually(
        lambda: world.redis.zcard(world.key("later", "due")) == copies + 1 - len(due),
        within=20, says="what has become due is released",
    )  # fmt: skip
    again.kill()
