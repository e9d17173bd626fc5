"""`jobs queues`, `jobs workers`, `jobs pause`, `jobs unpause`; no worker runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue
from tests.brokers import redis_of
from tests.records.cli_world import Terminal


@pytest.fixture
def broker(broker_url: str, terminal: Terminal) -> Iterator[FairQueue]:
    """The default queue on the server, empty, as a worker sees it."""
    with redis.Redis.from_url(redis_of(broker_url), decode_responses=True) as client:
        client.flushdb()
        yield FairQueue(client, "celery")


def cells(line: str) -> list[str]:
    """The cells of a line; they are two blanks apart."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_queues_shows_what_waits_and_runs(broker: FairQueue, terminal: Terminal) -> None:
    for _ in range(3):
        terminal.submit()
    terminal.submit(low_priority=True)
    broker.beat("w1", [], slots=8)
    broker.take("w1", 1)
    head, line = terminal.run("queues").stdout.splitlines()
    assert cells(head) == [
        "queue", "waiting", "oldest", "low", "running", "due", "held", "quarantined", "gate",
    ]  # fmt: skip
    name, waiting, _, *more = cells(line)
    assert (name, waiting, more) == (
        "celery", "2", ["1", "1/8", "0", "0", "0", "normal jobs wait"],
    )  # fmt: skip
    [queue] = terminal.read("queues")["queues"]
    assert (queue["waiting"], queue["low"], queue["running"]) == (2, 1, 1)


def test_workers_shows_what_each_runs(broker: FairQueue, terminal: Terminal) -> None:
    job = terminal.submit_running(label="Import \x1b[31mred")
    broker.beat("w1", [], slots=1)
    broker.take("w1", 1)
    terminal.records.silence("w2")
    _, one, two, runs = terminal.run("workers").stdout.splitlines()
    assert cells(one)[:3] == ["w1", "prefork", "1/2"]
    assert "lost" not in one and "lost" in two
    assert runs.startswith("w1 runs Import \\x1b[31mred for ")
    assert runs.endswith(job)
    found = terminal.read("workers")["workers"]
    assert [(each["id"], each["running"]) for each in found] == [("w1", 1), ("w2", 0)]


def test_pause_and_unpause_say_what_they_did(broker: FairQueue, terminal: Terminal) -> None:
    terminal.submit()
    assert terminal.run("pause", "celery").stdout == "pause celery: paused\n"
    again = terminal.run("pause", "celery")
    assert (again.exit_code, again.stderr) == (
        1, "jobs: pause celery: nothing changed: it is paused\n",
    )  # fmt: skip
    assert (
        terminal.run("queues").stdout.splitlines()[-1].startswith("celery is paused since 20")
    )
    assert broker.take("w1", 1)[0] is None
    assert terminal.run("unpause", "celery").stdout == "unpause celery: goes on\n"
    assert broker.take("w1", 2)[0] is not None
    assert terminal.run("unpause", "celery").exit_code == 1


@pytest.mark.parametrize("verb", ["pause", "unpause"])
def test_a_queue_that_is_not_there_is_told_so(
    broker: FairQueue, terminal: Terminal, verb: str
) -> None:
    answer = terminal.run(verb, "nowhere")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == "jobs: there is no queue 'nowhere'; there are: celery\n"


def test_a_queue_that_the_server_knows_can_be_paused_though_the_app_does_not_name_it(
    broker: FairQueue, terminal: Terminal
) -> None:
    terminal.submit(queue="elsewhere")
    assert terminal.run("pause", "elsewhere").exit_code == 0
    assert terminal.run("unpause", "elsewhere").exit_code == 0


@pytest.mark.parametrize("words", [("queues",), ("workers",), ("pause", "celery")])
def test_where_the_broker_is_away_it_is_said(
    database_url: str, broker: FairQueue, words: tuple[str, ...]
) -> None:
    away = Terminal(database_url, "fair-redis://127.0.0.1:1/0")
    answer = away.run(*words)
    away.close()
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("jobs: the broker cannot be reached: ")


@pytest.mark.parametrize("words", [("queues",), ("workers",)])
def test_another_broker_tells_how_much_waits_and_cannot_be_paused(
    database_url: str, broker_url: str, broker: FairQueue, words: tuple[str, ...]
) -> None:
    stock = Terminal(database_url, redis_of(broker_url))
    stock.submit()
    [queue] = stock.read("queues")["queues"]
    assert (queue["waiting"], queue["fair"]) == (1, False)
    assert stock.run(*words).exit_code == 0
    answer = stock.run("pause", "celery")
    stock.close()
    assert (answer.exit_code, "needs the fair transport" in answer.stderr) == (1, True)
