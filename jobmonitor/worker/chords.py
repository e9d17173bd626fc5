"""What a result backend knows of a chord does not expire while a member of it is Stopped.

Runs in: the worker's main process, in the thread of the rounds. A Redis backend lets a chord's
state expire `result_expires` after the last member that ended, a database backend deletes the
members' results when Celery cleans up: both would lose a chord that waits for a person.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from celery.backends.base import BaseKeyValueStoreBackend
from celery.result import GroupResult

from jobmonitor.canvas import groups_of
from jobmonitor.dispatch import Stored

logger = logging.getLogger(__name__)
#: beside the app's own `result_expires`: so long may every worker be away
_MONTH = 30 * 24 * 3600
_LONGEST_PAUSE = 3600.0
#: the next look at all jobs after an error, where it is not due earlier
_AFTER_ERROR = 60.0
#: numbers of the audit are given before they are committed
_OVERLAP = 1_000
_SUFFIXES = ("", ".j", ".t", ".s", ".d")
_AT_ONCE = 500


class ChordKeeper:
    """Renews what the app's result backend knows of chords with a Stopped member."""

    def __init__(self, monitor: Any) -> None:
        self._monitor = monitor
        self._database = monitor.database
        self._since: int | None = None
        self._all_due = 0.0

    def run(self) -> None:
        """Look at what was stopped since the last call; now and then at all that is Stopped."""
        backend = self._monitor.app.backend
        expires = _seconds(backend.expires) if hasattr(backend, "expires") else 0
        if not expires:
            return
        since, now = self._since, time.monotonic()
        if now >= self._all_due:
            self._all_due = now + min(expires / 4, _LONGEST_PAUSE)
            since = None
        last = self._database.row("last_event", {}).id
        rows = self._database.rows("stopped_members", {"since": since})
        try:
            self._keep(backend, rows, expires)
        except Exception as error:
            self._all_due = min(self._all_due, now + _AFTER_ERROR)
            logger.warning("jobmonitor: the state of chords was not renewed: %r", error)
        self._since = max(0, last - _OVERLAP)

    def _keep(self, backend: Any, rows: list[Any], expires: float) -> None:
        if not rows:
            return
        if isinstance(backend, BaseKeyValueStoreBackend):
            if backend.supports_autoexpire:
                for group in {group for row in rows for group in self._groups(row)}:
                    _keep_keys(backend, group, int(expires) + _MONTH)
        elif hasattr(backend, "ResultSession"):
            ids = [
                row.id for row in self._database.rows("beside", {"ids": [r.id for r in rows]})
            ]
            for begin in range(0, len(ids), _AT_ONCE):
                _keep_rows(backend, ids[begin : begin + _AT_ONCE], expires)

    def _groups(self, row: Any) -> set[str]:
        message = self._monitor.dispatch.unpack(Stored(row.envelope, bytes(row.body)))
        return groups_of(message.headers.get("group"), message.body[2] or {})


def _keep_keys(backend: Any, group: str, seconds: int) -> None:
    """Renew the keys of a group, and of its members' results where its body will read them."""
    for suffix in _SUFFIXES:
        backend.expire(backend.get_key_for_group(group, suffix), seconds)
    backend.expire(backend.get_key_for_chord(group), seconds)
    meta = backend.get_group_meta(group, cache=False)
    if meta and meta.get("result") is not None:
        for result_id in _results(meta["result"]):
            backend.expire(backend.get_key_for_task(result_id), seconds)


def _keep_rows(backend: Any, ids: list[str], expires: float) -> None:
    """Renew results that have half of their time behind them: a clean-up goes by that."""
    now = datetime.now(UTC)
    task = backend.task_cls
    session = backend.ResultSession()
    try:
        session.query(task).filter(
            task.task_id.in_(ids), task.date_done < now - backend.expires / 2
        ).update({"date_done": now}, synchronize_session=False)
        session.commit()
    finally:
        session.close()


def _results(result: Any) -> Iterator[str]:
    if isinstance(result, GroupResult):
        members: Iterable[Any] = result.results
        for member in members:
            yield from _results(member)
    else:
        yield str(result.id)


def _seconds(expires: Any) -> float:
    return float(expires.total_seconds() if hasattr(expires, "total_seconds") else expires or 0)
