"""An app whose tasks do what they should not."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, Task

from jobmonitor import JobMonitor, current_job

app = Celery("bad_input", broker=os.environ.get("BROKER_URL", "memory://"))
app.conf.update(
    result_backend=os.environ.get("RESULT_URL") or None,
    worker_hijack_root_logger=False,
    accept_content=["json"],
)
monitor = JobMonitor(
    app, beat_interval=0.5, progress_interval=0.1, checkpoint_max=2_000, message_max=100_000,
    unknown_again=0.5,
)  # fmt: skip

#: NUL and a lone surrogate: what neither Postgres nor UTF-8 takes
HOSTILE = "a\0b\ud800c"


class WithoutWords:
    """Neither its str nor its repr can be made."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class WordlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class UnpickledError(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.held = lambda: second


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task
def echo(value: Any) -> Any:
    return value


_CHECKPOINTS: dict[str, Callable[[], Any]] = {
    "no JSON": object, "NaN": lambda: float("nan"), "over its cap": lambda: "x" * 3_000,
    "bytes": lambda: b"x", "a key": lambda: {(1, 2): 3}, "nested": lambda: nested(5_000),
}  # fmt: skip


@app.task
def save(kind: str) -> list[Any]:
    """Save a good checkpoint, then a bad one; catch what is raised, go on."""
    job = current_job()
    job.checkpoint({"row": 1})
    time.sleep(0.11)
    job.checkpoint()
    job.checkpoint(_CHECKPOINTS[kind]())
    time.sleep(0.11)
    try:
        job.checkpoint()
    except Exception as error:
        return [type(error).__name__, str(error), job.state]
    return ["nothing was raised"]


@app.task
def save_last(kind: str) -> str:
    """Return with a bad checkpoint that was never written."""
    job = current_job()
    job.checkpoint({"row": 1})
    time.sleep(0.11)
    job.checkpoint()
    job.checkpoint(_CHECKPOINTS[kind]())
    return "returned"


@app.task
def save_uncaught() -> None:
    job = current_job()
    for state in ({"row": 1}, object()):
        time.sleep(0.11)
        job.checkpoint(state)


_PROGRESS: dict[str, tuple[Any, ...]] = {
    "negative": (-1,), "negative total": (1, -1), "total of zero": (1, 0),
    "NaN": (float("nan"),), "infinite total": (1, float("inf")), "text": ("1", 2),
    "text as total": (1, "2"), "True": (True,), "None": (None,), "large": (10**400,),
}  # fmt: skip


@app.task
def report(kind: str) -> list[str]:
    job = current_job()
    job.progress(1, 4)
    try:
        job.progress(*_PROGRESS[kind])
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing was raised"]


@app.task
def report_uncaught() -> None:
    current_job().progress(1, 0)


_ERRORS: dict[str, Callable[[], BaseException]] = {
    "hostile text": lambda: ValueError(HOSTILE), "without words": WordlessError,
    "not for pickle": lambda: UnpickledError("one", "two"),
    "huge": lambda: ValueError("h" * 10**6),
}  # fmt: skip


@app.task
def fail(kind: str) -> None:
    raise _ERRORS[kind]()


@app.task
def fail_deep() -> None:
    fail_deep.run()


@app.task
def fail_in_a_chain() -> None:
    """Raise an error with a thousand causes."""
    last: Exception | None = None
    for number in range(1_000):
        error = ValueError(f"cause {number} {'x' * 100}")
        error.__cause__, last = last, error
    assert last is not None
    raise last


_RESULTS: dict[str, Callable[[], Any]] = {
    "an object": object, "without words": WithoutWords, "a set": lambda: {1},
    "nested": lambda: nested(5_000), "hostile text": lambda: HOSTILE,
    "huge": lambda: "r" * 10**6, "NaN": lambda: float("nan"), "bytes": lambda: b"\0\xff",
}  # fmt: skip


@app.task
def give(kind: str) -> Any:
    return _RESULTS[kind]()


@app.task
def say(text: str) -> str:
    """Put a text everywhere a job can."""
    job = current_job()
    logging.getLogger(f"shop.{text}").warning(text)
    logging.getLogger("shop").warning(WithoutWords())
    print(text)  # noqa: T201
    job.error(text)
    job.error("values", one=text, two=WithoutWords())
    job.progress(1, 2, text)
    for _ in job.step(text):
        pass
    for _ in job.iterate(lambda _: iter([(text, 1), ({"a": text}, 2)])):
        add.delay(1, 1)
    job.checkpoint({text: text})
    return text


@app.task
def say_without_words() -> None:
    job = current_job()
    job.error(WithoutWords())  # type: ignore[arg-type]
    job.progress(1, 2, WithoutWords())  # type: ignore[arg-type]


@app.task
def submit_badly(kind: str) -> str:
    """Submit a child that is refused, and go on."""
    try:
        if kind == "no JSON":
            add.delay(object(), 1)
        else:
            add.delay("x" * 200_000, 1)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


@app.task(bind=True, max_retries=2)
def retry_badly(self: Task, kind: str) -> None:
    args = {"no JSON": (object(),), "over the cap": ("x" * 200_000,)}.get(kind, (kind,))
    raise self.retry(args=args, exc=ValueError(HOSTILE), countdown=0)


@app.task(bind=True)
def replace_badly(self: Task) -> Any:
    return self.replace(add.s(object(), 1))


if os.environ.get("SENDER"):

    @app.task
    def unknown(value: str) -> None:
        """Known to the sender only."""

    @app.task(restartable=True)
    def deployed_later(value: str) -> str:
        """Known to the sender, and to the worker that is started later."""
        return value
