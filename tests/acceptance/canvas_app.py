"""The app of the canvas tests: the same tasks with jobmonitor and, if PLAIN, without it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task, chain, chord, group

from jobmonitor import JobMonitor, current_job

PLAIN = bool(os.environ.get("PLAIN"))
app = Celery("canvas", broker=os.environ.get("BROKER_URL", "memory://"))
app.conf.update(
    result_backend=os.environ.get("RESULT_URL") or None,
    task_default_queue=os.environ.get("QUEUE", "celery"),
    result_chord_retry_interval=0.2,
    result_expires=int(os.environ.get("RESULT_EXPIRES", 86_400)),
    result_extended=True,
)
monitor = None if PLAIN else JobMonitor(app, beat_interval=0.5, lost_after=5.0)
TRACE = os.environ.get("TRACE_FILE", "")


def trace(line: str) -> None:
    """Append a line to a file, for side effects that a test counts."""
    with Path(TRACE).open("a") as file:
        file.write(f"{line}\n")


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def double(number: int) -> int:
    return 2 * number


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def gather(values: Any, word: str = "") -> list[Any]:
    """Keep what came in, in its order."""
    return [word, values]


@app.task
def fail(*_: Any) -> None:
    raise ValueError("as asked")


@app.task
def note(*words: Any) -> Any:
    trace(" ".join(map(str, words)))
    return words[-1]


@app.task
def kept(value: Any, name: str) -> Any:
    """The callback of a canvas: it must run once."""
    trace(f"kept {name}")
    return value


@app.task
def errback(task_id: str) -> None:
    trace("errback")


@app.task
def new_errback(request: Any, error: BaseException, traceback: Any) -> None:
    trace(f"new errback {type(error).__name__}")


@app.task(bind=True)
def stamps(self: Task, *_: Any) -> Any:
    """Return the stamps that the task sees."""
    seen = self.request.stamps or {}
    return [sorted(self.request.stamped_headers or []), {k: seen[k] for k in sorted(seen)}]


@app.task(bind=True, max_retries=2)
def retried(self: Task, number: int) -> int:
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return number


@app.task(bind=True)
def replaced(self: Task, number: int, by: str) -> Any:
    replacement = {
        "task": lambda: add.s(number, 1),
        "group": lambda: group(add.s(number, 1), add.s(number, 2)),
        "chord": lambda: chord([add.s(number, 1), add.s(number, 2)], total.s()),
        "chain": lambda: chain(add.s(number, 1), double.s(), add.s(5)),
        "chain of group": lambda: chain(add.s(number, 1), group(add.s(1), add.s(2))),
        "itself": lambda: replaced.s(number + 1, "task"),
    }[by]
    return self.replace(replacement())


@app.task(bind=True)
def replaced_by(self: Task, signature: Any) -> Any:
    return self.replace(chain(self.app.signature(signature), add.s(0)))


@app.task(bind=True)
def extends_chord(self: Task, number: int) -> int:
    self.add_to_chord(add.s(number, 100))
    return number


@app.task
def submits(kind: str) -> Any:
    """Submit a canvas inside a job; the ids of what it made."""
    if kind == "group":
        return group(add.s(1, 1), add.s(2, 2))().id
    if kind == "chain":
        return chain(add.s(1, 1), double.s(), add.s(3))().id
    if kind == "nested":
        return chord([chain(add.s(1, 1), double.s()), add.s(2, 2)], total.s())().id
    return chord([add.s(1, 1), add.s(2, 2)], total.s())().id


@app.task
def steps(count: int, word: str) -> int:
    """A member that takes a while and can be stopped."""
    for step in current_job().iterate(range(count)):
        trace(f"{word} {step}")
        time.sleep(0.05)
    return count


@app.task
def until(marker: str, value: int) -> int:
    """A member that goes on until a file is there."""
    while not Path(marker).exists():
        time.sleep(0.02)
        current_job().checkpoint()
    trace(f"until {value}")
    return value
