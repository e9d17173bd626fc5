"""A plain Celery app, without jobmonitor: what keeps its jobs is the transport alone.

Its jobs write a line when they begin and one when they end. `hold` runs until it is released.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from celery import Celery

DIRECTORY = Path(os.environ["TRACE_DIRECTORY"])

app = Celery("plain", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "1")),
    worker_disable_prefetch=bool(os.environ.get("DISABLE_PREFETCH")),
    worker_soft_shutdown_timeout=float(os.environ.get("SOFT_SHUTDOWN", "0")),
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options=json.loads(os.environ["TRANSPORT_OPTIONS"]),
)


@app.task
def nap(name: str, seconds: float = 0.05) -> None:
    write("start", name)
    time.sleep(seconds)
    write("end", name)


@app.task
def hold(name: str) -> None:
    write("start", name)
    everybody, this_run = DIRECTORY / f"release-{name}", DIRECTORY / f"release-{os.getpid()}"
    while not (everybody.exists() or this_run.exists()):
        time.sleep(0.02)
    write("end", name)


@app.task
def compute(name: str, seconds: float) -> None:
    write("start", name)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    write("end", name)


def write(what: str, name: str) -> None:
    with (DIRECTORY / "trace").open("a") as trace:
        trace.write(f"{what} {name} {os.getpid()}\n")
