"""What a worker of these benchmarks tells the fair transport, as one with jobmonitor does."""

from __future__ import annotations

from celery.worker.request import Request

from jobmonitor.transport import consumer


class Telling(Request):
    """A delivered job in the worker's main process."""

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Tell that it begins: what came before is no time of its root."""
        consumer.began(self.message)
        super().on_accepted(pid, time_accepted)
