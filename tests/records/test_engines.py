"""Connections of a process: never through a fork, few, and never waiting for each other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from jobmonitor.records.database import Database
from tests.waiting import eventually


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=3)
    yield database
    database.close()


def backend(database: Database) -> int:
    """The process of Postgres at the other end."""
    with database.connection() as connection:
        return connection.execute("SELECT pg_backend_pid()").fetchone()[0]


def in_child(call: Callable[[], object]) -> str:
    """What a call answers in a forked child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writing, str(call()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as answer:
        return answer.read()


def at_once(number: int, call: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=call) for _ in range(number)]
    for thread in threads:
        thread.start()
    return threads


def test_a_child_has_a_connection_of_its_own_and_its_parents_lives_on(
    database: Database,
) -> None:
    before = backend(database)
    of_children = {in_child(lambda: backend(database)) for _ in range(2)}
    assert str(before) not in of_children
    assert "" not in of_children
    assert backend(database) == before


def test_a_child_that_is_forked_while_all_connections_are_lent_gets_one(
    database: Database,
) -> None:
    done, holding = threading.Event(), threading.Barrier(4)

    def hold() -> None:
        with database.connection():
            holding.wait(20)
            done.wait(20)

    threads = at_once(3, hold)
    holding.wait(20)
    database._lock.acquire()
    try:
        assert in_child(lambda: backend(database)) != ""
    finally:
        database._lock.release()
        done.set()
        for thread in threads:
            thread.join()


def test_many_threads_share_few_connections(database: Database) -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = 'jobmonitor' AND datname = current_database()"
    )
    pids: list[int] = []

    def work() -> None:
        for _ in range(10):
            pids.append(backend(database))

    threads, peak = at_once(20, work), 0
    address = database.url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True, application_name="watcher") as watcher:
        while any(thread.is_alive() for thread in threads):
            peak = max(peak, watcher.execute(query).fetchone()[0])
    assert (len(pids), len(set(pids)) <= 3, peak <= 3) == (200, True, True)


def test_a_connection_inside_another_never_waits(database: Database) -> None:
    meeting, ended = threading.Barrier(3), []

    def nest() -> None:
        with database.connection():
            meeting.wait(20)
            with database.transaction(), database.connection() as connection:
                connection.execute("SELECT 1")
        ended.append(1)

    threads = at_once(3, nest)
    eventually(lambda: len(ended) == 3, within=20)
    for thread in threads:
        thread.join()
