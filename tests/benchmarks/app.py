"""One app, three ways to run it: plain, with the record one has today, with jobmonitor."""

from __future__ import annotations

import os
import time

from celery import Celery

from jobmonitor import JobMonitor

KIND = os.environ["BENCH_KIND"]
DATABASE_URL = os.environ["BENCH_DATABASE_URL"]

app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    task_default_queue=os.environ.get("BENCH_QUEUE", "celery"),
)
if KIND == "recorded":
    app.conf.update(
        result_backend=f"db+{DATABASE_URL}",
        task_track_started=True,
        worker_send_task_events=True,
        task_send_sent_event=True,
    )
monitor = JobMonitor(app, database_url=DATABASE_URL) if KIND == "jobmonitor" else None


@app.task
def nothing(number: int) -> None:
    """The no-op job: all that is measured is what is around it."""


@app.task
def five_ms(number: int) -> None:
    """A job that waits, as most do."""
    time.sleep(0.005)
