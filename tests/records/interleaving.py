"""Two callers at once, in an order that the test decides.

`between` lets the first run up to its n-th statement (or publish) and wait there, inside its
transaction if it has one, while the second runs until it is done or waits for a lock.
`at_a_row` lets both arrive at the same locked row, one behind the other, and then unlocks it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import psycopg
from sqlalchemy import event

from jobmonitor.records import prepared
from jobmonitor.records.database import Database

R = TypeVar("R")
_execute = prepared.execute
PATIENCE = 20.0
_pace = threading.local()
_WAITING = (
    b"SELECT count(*) FROM pg_stat_activity "
    b"WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class _Pause:
    """A place in a caller's way, counted in statements, where it waits."""

    def __init__(self, before: int | None) -> None:
        self._left = before
        self.reached = threading.Event()
        self.over = threading.Event()

    def step(self) -> None:
        if self._left == 0:
            self.reached.set()
            assert self.over.wait(PATIENCE), "the other caller never let this one go on"
        self._left = None if self._left is None else self._left - 1


class PacedCursor(psycopg.Cursor[Any]):
    """Waits where its thread is told to."""

    def execute(self, *args: Any, **options: Any) -> Any:
        step()
        return super().execute(*args, **options)


def _pace_what_needs_no_cursor() -> None:
    if prepared.execute is not _paced_execute:
        prepared.execute = _paced_execute


def _paced_execute(*args: Any) -> Any:
    step()
    return _execute(*args)


def step() -> None:
    """Pass a place where the caller of this thread may have to wait."""
    pause = getattr(_pace, "pause", None)
    if pause is not None:
        pause.step()


class _Caller(threading.Thread, Generic[R]):
    """Calls in a thread of its own and keeps the answer."""

    def __init__(self, call: Callable[[], R], pause: int | None = None) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.pause = _Pause(pause)
        self.done = threading.Event()
        self._answer: list[R] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        _pace.pause = self.pause
        try:
            self._answer.append(self._call())
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()

    def answer(self) -> R:
        assert self.done.wait(PATIENCE), "two callers wait for each other"
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Interleaving:
    """Runs two callers against one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        _pace_what_needs_no_cursor()
        event.listen(database.engine, "connect", _with_paced_cursors)
        database.engine.dispose()

    def between(
        self, first: Callable[[], R], second: Callable[[], R], *, pause: int
    ) -> tuple[R, R]:
        """Run the second where the first has made so many statements."""
        one, two = _Caller(first, pause), _Caller(second)
        one.start()
        while not (one.done.is_set() or one.pause.reached.wait(0.001)):
            pass
        two.start()
        self._until_done_or_waiting(two, waiting=1)
        one.pause.over.set()
        return one.answer(), two.answer()

    def at_a_row(
        self, job_id: str, first: Callable[[], R], second: Callable[[], R]
    ) -> tuple[R, R]:
        """Let both meet at a row that is locked until both are there."""
        one, two = _Caller(first), _Caller(second)
        with self._database.transaction() as gate:
            gate.execute("SELECT FROM job WHERE id = %s FOR UPDATE", (job_id,))
            one.start()
            self._until_done_or_waiting(one, waiting=1)
            two.start()
            self._until_done_or_waiting(two, waiting=1 if one.done.is_set() else 2)
        return one.answer(), two.answer()

    def _until_done_or_waiting(self, caller: _Caller[Any], *, waiting: int) -> None:
        with self._database.connection() as connection:
            while not caller.done.wait(0.001):
                found = connection.execute(_WAITING).fetchone()
                if found and found[0] >= waiting:
                    return


def _with_paced_cursors(connection: Any, _: Any) -> None:
    connection.cursor_factory = PacedCursor
