"""Tasks that show which job runs where; a worker gets them by `--include`."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from celery import Task

from jobmonitor import current_job
from tests.acceptance.app import add, app, monitor, trace

log = logging.getLogger("shop.pools")


@app.task(bind=True)
def who_am_i(self: Task, rounds: int) -> list[Any]:
    """Ask again and again who runs here, in the task and in a thread that it started."""
    seen = set()
    own = self.request.id

    def ask() -> None:
        seen.add(current_job().id)
        log.warning("said by %s", own)

    for number in current_job().iterate(range(rounds)):
        ask()
        thread = threading.Thread(target=current_job().bind(ask))
        thread.start()
        thread.join()
        print("printed by", own)  # noqa: T201
        if number == 0:
            add.delay(1, 1)
        time.sleep(0.05)
    return [own, sorted(str(one) for one in seen)]


@app.task(restartable=True)
def hear_nothing(marker: str, submits: bool = False) -> str:
    """Reach no checkpoint until a file is there."""
    trace("began")
    while not Path(marker).exists():
        time.sleep(0.02)
    if submits:
        add.delay(2, 2)
    log.warning("too late")
    trace("ended")
    return "ended"


@app.task
def beat_time(seconds: float) -> str:
    """Compute without a pause: under gevent nothing else of the process moves."""
    trace("began")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1_000))
    trace("ended")
    return "ended"


@app.task
def sleep_in_postgres(seconds: float) -> None:
    with monitor.database.connection() as connection:
        connection.execute("SELECT pg_sleep(%s)", (seconds,))


@app.task(time_limit=1)
def too_long_in_greenlet() -> None:
    time.sleep(30)


@app.task
def wait_for_file(marker: str) -> None:
    trace("began")
    try:
        while not Path(marker).exists():
            time.sleep(0.05)
    finally:
        trace("left")


@app.task
def leave_slowly(marker: str) -> None:
    """End only when a file is there, whoever wants it to end before."""
    trace("began")
    try:
        time.sleep(60)
    finally:
        trace("leaves")
        while not Path(marker).exists():
            time.sleep(0.05)
        trace("left")


@app.task
def what_is_held() -> dict[str, list[str]]:
    """Of greenlets: the jobs that their worker has not done with."""
    return {
        "interrupted": sorted(monitor.execution.interrupted),
        "taken": sorted(request.id for request in monitor.worker_side.taken),
    }


@app.task(on_worker_lost="fail")
def only_once() -> None:
    trace("began")
    while True:
        time.sleep(0.05)


@app.task
def tick(number: int, seconds: float = 0.0) -> int:
    trace(f"began {number}")
    time.sleep(seconds)
    trace(f"ended {number}")
    return number


@app.task
def leave_greenlet(how: str) -> None:
    """End in one of gevent's ways, which are not exceptions like others."""
    import gevent
    import greenlet

    if how == "timeout":
        with gevent.Timeout(0.1):
            gevent.sleep(5)
    raise greenlet.GreenletExit
