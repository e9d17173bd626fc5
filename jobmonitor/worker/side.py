"""The threads beside the pool: one beats and rescues, one writes the ends that main decided.

Runs in: the worker's main process. Neither thread touches the broker's channel of the consumer:
what must happen there (ack, kill) is handed to the event loop.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker import state as worker_state

from jobmonitor import signals
from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.worker import presence
from jobmonitor.worker.checks import say_what_changed
from jobmonitor.worker.rescue import Rescue

logger = logging.getLogger(__name__)
_VERSION = "0.1.0"
End = Callable[[], Callable[[], Any] | None]


class WorkerSide:
    """What one worker does beside running jobs."""

    def __init__(self, monitor: Any, worker: Any) -> None:
        self.monitor = monitor
        self.worker = worker
        self.worker_id: str = monitor.execution.worker
        self.rescue = Rescue(monitor)
        self._ends: queue.SimpleQueue[End | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._doubted: set[tuple[str, int]] = set()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Register, then start both threads; daemons, so that nothing outlives the worker."""
        presence.register(self.monitor.database, self.worker_id, self.worker, _VERSION)
        say_what_changed(self.monitor)
        for name, target in (("beat", self._beat), ("ends", self._write_ends)):
            thread = threading.Thread(target=target, name=f"jobmonitor-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Finish the ends that wait, then say that this worker is gone."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._ends.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        try:
            self.monitor.database.rows("end_worker", {"id": self.worker_id})
        except DatabaseUnavailable as error:
            logger.warning("jobmonitor: the end of this worker is not recorded: %s", error)

    # -- ends that main decided ------------------------------------------------------------

    def end(self, write: End) -> None:
        """Write an end in our thread; what it returns is then called in the event loop.

        While Postgres is away it waits here, its message unacknowledged, and the loop goes on.
        """
        self._ends.put(write)

    def _write_ends(self) -> None:
        while True:
            write = self._ends.get()
            if write is None:
                return
            after = self._until_written(write)
            if after is not None:
                self.in_loop(after)

    def _until_written(self, write: End) -> Callable[[], Any] | None:
        pause = 0.1
        while True:
            try:
                return write()
            except DatabaseUnavailable as error:
                logger.warning("jobmonitor: an end waits: %s", error)
            except Exception:
                logger.exception("jobmonitor: an end could not be written; trying again")
            if self._stopping.is_set() and pause > 1:
                return None
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def in_loop(self, call: Callable[[], Any]) -> None:
        """Call in the worker's event loop, or at once where the pool has none."""
        hub = getattr(self.worker, "hub", None)
        if hub is None:
            call()
        else:
            hub.call_soon(call)

    def revoke(
        self, job_id: str, *, terminated: bool, reason: str, dispatch: int | None = None
    ) -> Any:  # fmt: skip
        """Cancel what Celery revoked, and tell its backend; how the job stood, or None."""
        row = self.monitor.store.revoked(
            job_id, terminated=terminated, reason=reason, dispatch=dispatch
        )
        if row is not None and row.is_changed:
            signals.job_canceled.send(sender=None, job_id=job_id)
            self.rescue.empty_outbox(job_id)
        return row

    # -- the beat --------------------------------------------------------------------------

    def _beat(self) -> None:
        interval = self.monitor.settings.beat_interval
        while True:
            try:
                self._beat_once()
            except DatabaseUnavailable as error:
                logger.warning("jobmonitor: no beat: %s", error)
            except Exception:
                logger.exception("jobmonitor: a beat failed")
            if self._stopping.wait(interval):
                return

    def _beat_once(self) -> None:
        self.monitor.database.rows("beat", {"id": self.worker_id})
        self.rescue.run()
        self._end_what_is_no_longer_ours()

    def _end_what_is_no_longer_ours(self) -> None:
        """Kill attempts that were fenced out though no control message came; seen twice."""
        active = {
            r.id: r
            for r in list(worker_state.active_requests)
            if r.worker_pid and hasattr(r, "force_stop")
        }
        if not active:
            self._doubted = set()
            return
        rows = self.monitor.database.rows("whose", {"ids": list(active)})
        doubted = set()
        for row in rows:
            pid = active[row.id].worker_pid
            ours = row.worker == self.worker_id and row.worker_pid == pid
            unclaimed = row.status == "pending" and row.dispatch == active[row.id].dispatch
            if unclaimed or (row.status in {"running", "stopping", "finished"} and ours):
                continue
            doubted.add((row.id, pid))
            if (row.id, pid) in self._doubted:
                self.in_loop(partial(self.kill, row.id, pid))
        self._doubted = doubted

    # -- force stop ------------------------------------------------------------------------

    def kill(self, job_id: str, pid: int) -> str:
        """Kill the process that runs a job, if it still does. Called in the event loop."""
        request = worker_state.requests.get(job_id)
        if request is None or not hasattr(request, "force_stop"):
            return "not here any more"
        return str(request.force_stop(self.worker.pool, pid))
