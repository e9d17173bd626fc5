"""The threads beside the pool: one beats, one rescues, one writes the ends that main decided.

Runs in: the worker's main process. None of them touches the broker's channel of the consumer:
what must happen there (ack, kill) is handed to the event loop.
"""

from __future__ import annotations

import atexit
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
from jobmonitor.records.database import TRANSIENT_ERRORS
from jobmonitor.worker import presence
from jobmonitor.worker.beat import Beat
from jobmonitor.worker.checks import say_what_changed
from jobmonitor.worker.rescue import BROKER_ERRORS, Rescue

logger = logging.getLogger(__name__)
_VERSION = "0.1.0"
_AGAIN_AFTER = 10.0
End = Callable[[], Callable[[], Any] | None]


class WorkerSide:
    """What one worker does beside running jobs."""

    def __init__(self, monitor: Any, worker: Any) -> None:
        self.monitor = monitor
        self.worker = worker
        self.worker_id: str = monitor.execution.worker
        self.rescue = Rescue(monitor)
        self._ends: queue.SimpleQueue[End | None] = queue.SimpleQueue()
        self._leaves = False
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._doubted: set[tuple[str, int]] = set()
        settings = monitor.settings
        self._beat = Beat(settings.database_url, self.worker_id, settings.beat_interval)
        #: deliveries that a process of the pool has taken and that are not acknowledged
        self.taken: set[Any] = set()
        #: whether a job's process can be killed without another job's
        self.pool_kills = presence.pool_kills(worker.pool_cls)

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Register, then start the threads; nothing of them outlives the worker."""
        presence.register(self.monitor.database, self.worker_id, self.worker, _VERSION)
        say_what_changed(self.monitor)
        self._beat.start()
        for name, target in (("rounds", self._go_round), ("ends", self._write_ends)):
            thread = threading.Thread(target=target, name=f"jobmonitor-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Say good-bye when the pool has ended: what it did not finish goes back.

        Jobs in threads end before the interpreter does; until then they are held, and the
        worker beats.
        """
        if self._leaves:
            return
        self._leaves = True
        if self._jobs_outlive_pool():
            atexit.register(self._say_good_bye)
        else:
            self._say_good_bye()

    def _jobs_outlive_pool(self) -> bool:
        threads = getattr(getattr(self.worker.pool, "executor", None), "_threads", ())
        return any(thread.is_alive() for thread in threads)

    def _say_good_bye(self) -> None:
        self._stopping.set()
        self._ends.put(None)
        for thread in self._threads:
            thread.join(timeout=5)
        self._beat.stop(within=5)
        try:
            left = [request.id for request in self.taken | set(worker_state.reserved_requests)]
            self.rescue.hand_back(self.worker_id, left)
            self.monitor.database.rows("end_worker", {"id": self.worker_id})
        except (DatabaseUnavailable, *BROKER_ERRORS) as error:
            logger.warning("jobmonitor: the end of this worker is not recorded: %s", error)

    # -- ends that main decided ------------------------------------------------------------

    def end(self, write: End) -> None:
        """Write an end in our thread; what it returns is then called in the event loop.

        While Postgres is away it waits here, its message unacknowledged, and the loop goes on.
        """
        self._ends.put(write)

    def end_unrunnable(
        self, job_id: str, dispatch: int, error: str, after: Callable[[], Any] | None = None
    ) -> None:
        """Record that a delivered message can never run as it is; then call `after`."""

        def write() -> Callable[[], Any] | None:
            store = self.monitor.store
            ended = store.unrunnable(job_id, dispatch, error)
            if ended is not None:
                store.close_group(ended.root_id)
            return after

        self.end(write)

    def _write_ends(self) -> None:
        while True:
            write = self._ends.get()
            if write is None:
                return
            try:
                after = self._until_written(write)
            except Exception:
                self._put_back(write)
                continue
            if after is not None:
                self.in_loop(after)

    def _put_back(self, write: End) -> None:
        """Let an end that cannot be written wait behind the others, and be tried again."""
        logger.exception("jobmonitor: an end could not be written; trying again later")
        timer = threading.Timer(_AGAIN_AFTER, self.end, (write,))
        timer.daemon = True
        timer.start()

    def _until_written(self, write: End) -> Callable[[], Any] | None:
        pause = 0.1
        while True:
            try:
                return write()
            except (DatabaseUnavailable, *TRANSIENT_ERRORS, *BROKER_ERRORS) as error:
                logger.warning("jobmonitor: an end waits: %s", error)
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

    def every(self, seconds: float, call: Callable[[], Any]) -> None:
        """Do something every so often, in a thread of its own, until this worker ends."""

        def go_on() -> None:
            while not self._stopping.wait(seconds):
                try:
                    call()
                except (DatabaseUnavailable, *TRANSIENT_ERRORS) as error:
                    logger.warning("jobmonitor: trying again: %s", error)
                except Exception:
                    logger.exception("jobmonitor: trying again")

        thread = threading.Thread(target=go_on, name="jobmonitor-every", daemon=True)
        thread.start()
        self._threads.append(thread)

    # -- rounds ----------------------------------------------------------------------------

    def _go_round(self) -> None:
        interval = self.monitor.settings.beat_interval
        while True:
            try:
                self.rescue.run()
                self._end_what_is_no_longer_ours()
            except DatabaseUnavailable as error:
                logger.warning("jobmonitor: no rescue: %s", error)
            except Exception:
                logger.exception("jobmonitor: a rescue failed")
            if self._stopping.wait(interval):
                return

    def _end_what_is_no_longer_ours(self) -> None:
        """Kill attempts that were fenced out though no control message came; seen twice."""
        active = {
            r.id: r
            for r in list(worker_state.active_requests)
            if r.worker_pid and hasattr(r, "force_stop")
        }
        if not active or not self.pool_kills:
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
