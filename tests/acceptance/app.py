"""The app of the acceptance tests: each task is one behaviour."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from celery import Celery, Task, chord
from celery import signals as celery_signals
from celery.exceptions import Ignore, Reject
from celery.utils.log import get_task_logger

from jobmonitor import JobMonitor, current_job, signals

app = Celery("acceptance", broker=os.environ.get("BROKER_URL", "memory://"))
app.conf.update(
    result_backend=os.environ.get("RESULT_URL") or None,
    beat_schedule={},
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=float(os.environ.get("SOFT_SHUTDOWN", 0)),
)
if os.environ.get("OWN_LOGGING"):
    celery_signals.setup_logging.connect(
        lambda **_: logging.basicConfig(level=logging.INFO), weak=False
    )
monitor = JobMonitor(app, beat_interval=1.0, lost_after=float(os.environ.get("LOST_AFTER", 5)))
TRACE = os.environ.get("TRACE_FILE", "")


def trace(line: str) -> None:
    """Append a line to a file, for side effects that a test counts."""
    with Path(TRACE).open("a") as file:
        file.write(f"{line}\n")


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def traced(word: str) -> str:
    trace(word)
    return word


@app.task(restartable=True)
def count(steps: int, pause: float = 0.05) -> int:
    """Iterate with safe points."""
    for step in current_job().iterate(range(steps)):
        trace(f"count {step}")
        time.sleep(pause)
    return steps


@app.task(stoppable=False)
def listen(seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)
        current_job().checkpoint()
    return "heard"


@app.task
def hang() -> None:
    """Never reach a checkpoint."""
    while True:
        time.sleep(0.05)


@app.task
def hang_with_subprocess(pid_file: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(str(child.pid))
    child.wait()


@app.task
def fail(message: str = "as asked") -> None:
    raise ValueError(message)


@app.task(bind=True, max_retries=3)
def flaky(self: Task, failures: int, countdown: float = 0.1) -> int:
    trace(f"flaky {self.request.retries}")
    if self.request.retries < failures:
        raise self.retry(countdown=countdown, exc=ValueError("not yet"))
    return self.request.retries


@app.task(autoretry_for=(ValueError,), retry_kwargs={"max_retries": 1, "countdown": 0})
def autoretried() -> None:
    raise ValueError("always")


@app.task
def leave(how: str) -> None:
    """End in one of Python's ways that are not an error of the task."""
    if how == "exit":
        sys.exit(0)
    if how == "ignore":
        raise Ignore()
    if how == "reject":
        raise Reject("as asked", requeue=False)
    if how == "requeue":
        if not Path(TRACE).exists():
            trace("requeued")
            raise Reject("once", requeue=True)
        return
    os._exit(3)


@app.task(acks_late=False)
def pay(amount: int) -> None:
    """A task that must never run twice."""
    trace(f"paid {amount}")
    os._exit(3)


@app.task
def fan_out(children: int, pause: float = 0.0) -> None:
    for number in current_job().iterate(range(children)):
        traced.delay(f"child {number}")
        if pause:
            time.sleep(pause)


@app.task
def fan_out_of_slow(children: int) -> None:
    for _ in current_job().iterate(range(children)):
        count.delay(200)


@app.task
def grandparent() -> None:
    fan_out.delay(2)
    add.delay(1, 2)


@app.task(bind=True)
def replaced(self: Task, by: str) -> Any:
    if by == "task":
        return self.replace(add.s(20, 22))
    return self.replace(chord([add.s(1, 1), add.s(2, 2)], total.s()))


@app.task
def total(numbers: list[int]) -> int:
    trace(f"total {sum(numbers)}")
    return sum(numbers)


@app.task
def note_error(bad: int) -> None:
    for number in range(bad):
        current_job().error("a bad row", row=number)


@app.task
def login(user: str, password: str) -> None:
    raise PermissionError(f"{user} may not use {password}")


@app.task(system=True)
def tidy() -> None:
    time.sleep(0.5)


@app.task(time_limit=1)
def too_long() -> None:
    time.sleep(60)


@app.task(soft_time_limit=1)
def busy_writer() -> None:
    """Report without a pause, so that the soft limit meets a statement."""
    while True:
        current_job().progress(1, 2)
        current_job()._write()  # type: ignore[union-attr]


@app.task
def on_error(task_id: str) -> None:
    trace("errback")


@app.task
def submit_keyed(children: int) -> None:
    """Submit children as fast as it goes; a repeat meets those that are there."""
    for number in current_job().iterate(range(children)):
        traced.delay(f"child {number}")


@app.task
def submit_in_bulk(children: int, marker: str | None = None) -> None:
    """Submit children in one go, once a file is there."""
    while marker and not Path(marker).exists():
        time.sleep(0.02)
    monitor.submit_many(traced.s(f"child {number}") for number in range(children))


@app.task
def dies_at(step: int, marker: str) -> None:
    """Kill its own process once, at a step."""
    for number in current_job().iterate(range(step + 2)):
        trace(f"step {number}")
        current_job()._write()  # type: ignore[union-attr]
        if number == step and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), 9)


@app.task
def heard(fails: bool) -> None:
    """Run where signals are listened to."""
    if fails:
        raise ValueError("as asked")


@app.task
def say_everything(word: str) -> None:
    """Log, print and warn in each way there is."""
    logging.getLogger("shop.stock").warning("logged %s", word)
    get_task_logger("shop.task").info("task logged %s", word)
    library = logging.getLogger(f"library{word}")
    library.propagate = False
    library.warning("library logged %s", word)
    print("printed", word)  # noqa: T201
    print("on stderr", word, file=sys.stderr)  # noqa: T201
    warnings.warn("an old way", UserWarning, stacklevel=1)
    if threading.current_thread() is not threading.main_thread():
        return
    thread = threading.Thread(target=lambda: print("thread printed", word))  # noqa: T201
    thread.start()
    thread.join()
    logging.getLogger("celery.worker").error("Celery's own")
    sys.stdout.write(f"half {word}")


@app.task
def log_until(marker: str, level: int = logging.WARNING) -> str:
    """Log a line, wait for a file, log another one."""
    logging.getLogger("shop").log(level, "before")
    while not Path(marker).exists():
        time.sleep(0.02)
        current_job().checkpoint()
    logging.getLogger("shop").log(level, "after")
    return "done"


@app.task
def log_many(lines: int) -> None:
    for number in range(lines):
        logging.getLogger("shop").warning("line %d", number)


@app.task(bind=True, max_retries=1)
def log_and_retry(self: Task) -> None:
    logging.getLogger("shop").warning("attempt %d", self.request.retries + 1)
    if not self.request.retries:
        raise self.retry(countdown=0)


@app.task(time_limit=2)
def log_and_hang() -> None:
    logging.getLogger("shop").warning("this was logged")
    time.sleep(60)


class LogsAfterwards(Task):
    def on_success(self, *args: Any) -> None:
        logging.getLogger("shop").error("in the tail")


@app.task(base=LogsAfterwards)
def log_afterwards() -> None:
    pass


@app.task
def log_at(markers: list[str], lines: int) -> None:
    """Log some lines, and some more each time a file is there."""
    numbers = iter(range(lines * (len(markers) + 1)))
    for marker in ["", *markers]:
        while marker and not Path(marker).exists():
            time.sleep(0.02)
        for _ in range(lines):
            logging.getLogger("shop").warning("line %d", next(numbers))
        if marker:
            Path(f"{marker}.done").touch()


@app.task
def log_secret(password: str) -> None:
    logging.getLogger("shop").warning("the password is %s", password)
    print("printed", password)  # noqa: T201
    current_job().error("noted", password=password)
    raise PermissionError(password)


@signals.job_started.connect
def on_started(sender: str, attempt: int, **_: Any) -> None:
    if sender == heard.name:
        trace(f"started {attempt}")


@signals.job_finished.connect
def on_finished(sender: str, has_errors: bool, **_: Any) -> None:
    if sender == heard.name:
        trace(f"finished {has_errors}")
