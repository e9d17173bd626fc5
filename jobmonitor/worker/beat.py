"""The beat of a worker: it says every few seconds that it lives, whatever its jobs do.

Runs in: the worker's main process, in a native thread also where gevent has patched threads:
greenlets stand still while one job computes. It shares nothing with them, neither connections
nor locks; what it waits for, it waits for in this thread alone.
"""

from __future__ import annotations

import logging

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.greenlets import native, taken_lock
from jobmonitor.records.database import Database

logger = logging.getLogger(__name__)


class Beat:
    """Keeps the row of one worker alive until it is stopped."""

    def __init__(self, database_url: str, worker_id: str, interval: float) -> None:
        self._database = Database(database_url)
        self._worker_id = worker_id
        self._interval = interval
        self._goes_on = taken_lock()
        self._runs = taken_lock()

    def start(self) -> None:
        """Begin to beat."""
        native("_thread", "start_new_thread")(self._run, ())

    def stop(self, within: float) -> None:
        """End it; when this returns no beat follows, unless the last one takes longer."""
        if self._goes_on.locked():
            self._goes_on.release()
            self._runs.acquire(timeout=within)

    def _run(self) -> None:
        try:
            while not self._goes_on.acquire(timeout=self._interval):
                self._once()
        finally:
            self._database.close()
            self._runs.release()

    def _once(self) -> None:
        try:
            self._database.rows("beat", {"id": self._worker_id})
        except DatabaseUnavailable as error:
            logger.warning("jobmonitor: no beat: %s", error)
        except Exception:
            logger.exception("jobmonitor: a beat failed")
