"""`jobs quarantine`, `jobs drain`; no worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from jobmonitor import JobMonitor
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.quarantine import Quarantine
from tests.brokers import redis_of
from tests.records.cli_world import Terminal


@pytest.fixture
def server(broker_url: str, terminal: Terminal) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_of(broker_url)) as client:
        client.flushdb()
        FairQueue(client, "celery").declare()
        yield client


def set_aside(server: redis.Redis, *messages: bytes, reason: str = "it is not JSON") -> None:
    for message in messages:
        Quarantine(FairQueue(server, "celery")).keep(message, reason)


def test_what_was_set_aside_is_listed_with_its_reason(
    server: redis.Redis, terminal: Terminal
) -> None:
    assert terminal.run("quarantine", "list").stdout == "nothing of celery is in quarantine\n"
    set_aside(server, b"first")
    set_aside(server, b"\x1b[31m\xff", reason="no \x1b[31mred")
    head, second, first = terminal.run("quarantine", "list").stdout.splitlines()
    assert head.split() == ["id", "since", "bytes", "delivered", "reason"]
    assert (first.split()[0], second.split()[0]) == ("q1", "q2")
    assert "\x1b" not in second
    found = terminal.read("quarantine", "list")["quarantined"]
    assert [(entry["id"], entry["size"], entry["deliveries"]) for entry in found] == [
        ("q2", 6, 0), ("q1", 5, 0),
    ]  # fmt: skip


def test_a_message_is_shown_as_it_came_and_harms_no_terminal(
    server: redis.Redis, terminal: Terminal
) -> None:
    set_aside(server, b"\x1b[31m\xff")
    assert terminal.run("quarantine", "show", "q1").stdout == "\\x1b[31m\\xff\n"
    missing = terminal.run("quarantine", "show", "q7")
    assert missing.exit_code == 1
    assert missing.stderr == "jobs: there is no q7 in the quarantine of celery\n"


def test_messages_are_put_back_or_dropped(server: redis.Redis, terminal: Terminal) -> None:
    set_aside(server, b'{"headers": {"root_id": "a"}}', b"second", b"third")
    put_back = terminal.run("quarantine", "put-back", "q1", "q9")
    assert put_back.exit_code == 0
    assert put_back.stdout == "q1: put back\n"
    assert put_back.stderr == "q9: not in the quarantine of celery\n"
    taken, _ = FairQueue(server, "celery").take(None, 0)
    assert taken is not None and taken.root == "a"
    assert terminal.run("quarantine", "drop", "q2").stdout == "q2: dropped\n"
    assert terminal.run("quarantine", "drop", "q2").exit_code == 1
    assert [entry["id"] for entry in terminal.read("quarantine", "list")["quarantined"]] == [
        "q3"
    ]


def test_drain_hands_what_waits_over_to_plain_workers(
    server: redis.Redis, terminal: Terminal
) -> None:
    for number in range(3):
        terminal.submit(number)
    terminal.submit(low_priority=True)
    assert terminal.run("drain", "celery").stdout == (
        "4 messages of celery wait for workers on redis:// now\n"
    )
    assert (server.llen("celery"), server.llen("celery\x06\x169")) == (3, 1)
    assert terminal.read("queues")["queues"][0]["waiting"] == 0


def test_a_queue_that_is_not_there_is_named(server: redis.Redis, terminal: Terminal) -> None:
    for words in (("quarantine", "list", "--queue", "nobody"), ("drain", "nobody")):
        result = terminal.run(*words)
        assert result.exit_code == 1
        assert result.stderr.startswith("jobs: there is no queue 'nobody'")


def test_another_broker_says_what_it_needs(tmp_path: Path, migrated: str) -> None:
    app = Celery("memory", broker="memory://", set_as_current=False)
    terminal = Terminal.__new__(Terminal)
    terminal.app, terminal.monitor = app, JobMonitor(app, database_url=migrated)
    result = terminal.run("drain", "celery")
    assert result.exit_code == 1
    assert "that needs the fair transport, fair-redis://" in result.stderr
    terminal.monitor.database.close()
