"""The bootsteps: what a worker does for jobmonitor from its start to its end.

Runs in: the worker's main process.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps
from celery import signals as celery_signals

logger = logging.getLogger(__name__)


class JobMonitorStep(bootsteps.StartStopStep):
    """Checks the configuration, then keeps presence and ends running beside the pool."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        """Refuse a configuration that breaks jobs before anything is consumed."""
        import jobmonitor.worker.control  # noqa: F401  registers the command
        from jobmonitor.worker.checks import check_or_exit

        super().__init__(parent, **options)
        self.side: Any = None
        self.monitor = parent.app.jobmonitor
        check_or_exit(self.monitor, parent.pool_cls)
        self._introduce(parent)
        parent.prefetch_multiplier = 1  # read from the settings before the app was hardened
        self._keep_own_requests(parent.app)

    def _keep_own_requests(self, app: Any) -> None:
        from jobmonitor.worker.request import with_own

        for task in app.tasks.values():
            own = getattr(task, "request_of_app", None)
            if own is not None:
                task.Request = with_own(own)

    def _introduce(self, worker: Any) -> None:
        """Tell the fair transport who this worker is and how much it runs at once."""
        from jobmonitor.transport import consumer
        from jobmonitor.worker.presence import new_worker_id

        self.monitor.execution.worker = new_worker_id(worker.hostname)
        consumer.name_process(self.monitor.execution.worker)
        consumer.offer_slots(lambda: _slots_of(worker))

    def start(self, parent: Any) -> None:
        """Begin to beat; the pool has been started."""
        from jobmonitor.worker.adopted import record_adopted
        from jobmonitor.worker.side import WorkerSide

        self.side = WorkerSide(self.monitor, parent)
        self.monitor.worker_side = self.side
        self.side.start()
        record_adopted(self.side)
        self._be_last(parent.blueprint)
        celery_signals.worker_shutdown.connect(self._say_good_bye, sender=parent)

    def _be_last(self, blueprint: Any) -> None:
        """Come after the pool also in a cold shutdown, of which Celery sends no signal."""
        stopped = blueprint.on_stopped

        def on_stopped() -> None:
            try:
                stopped()
            finally:
                self._say_good_bye()

        blueprint.on_stopped = on_stopped

    def _say_good_bye(self, **_: Any) -> None:
        """End the threads when the pool has ended: until then its jobs are held."""
        if self.side is not None:
            self.side.stop()


def _slots_of(worker: Any) -> int:
    """As Celery's own limit without prefetch; a pool that has ended knows no number."""
    try:
        return int(worker.max_concurrency or worker.pool.num_processes)
    except AttributeError:
        return int(worker.concurrency)


class UnrunnableStep(bootsteps.StartStopStep):
    """Records the end of jobs whose messages can never run here."""

    def __init__(self, parent: Any, **options: Any) -> None:
        """Stand before what Celery does with such messages."""
        from jobmonitor.worker.unrunnable import stand_before

        super().__init__(parent, **options)
        stand_before(parent)
