"""An app as it was before: run plainly (PLAIN=1) or adopted, so that both can be compared."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery, Task, shared_task
from celery.exceptions import Ignore, Reject
from celery.worker.request import Request
from kombu import Exchange, Queue
from kombu.common import Broadcast
from kombu.serialization import register
from kombu.utils import json
from pydantic import BaseModel

ADOPTED = not os.environ.get("PLAIN")
TRACE = Path(os.environ.get("TRACE_FILE", "/dev/null"))
_REQUEST_LEFT_OUT = {"_protected", "_children", "children", "hostname", "origin", "reply_to"}


def trace(key: str, *facts: Any) -> None:
    """Append a line under a key, for what a story tells."""
    with TRACE.open("a") as file:
        file.write(json.dumps([key, [repr(f) if _is_odd(f) else f for f in facts]]) + "\n")


def traced(key: str) -> list[Any]:
    """Read the lines of a key."""
    lines = TRACE.read_text().splitlines() if TRACE.exists() else []
    return [facts for own, facts in map(json.loads, lines) if own == key]


def _is_odd(fact: Any) -> bool:
    return not isinstance(fact, (str, int, float, list, tuple, dict, type(None)))


register(
    "shouted", lambda body: json.dumps(body).swapcase(),
    lambda text: json.loads(text.swapcase()),
    content_type="application/x-shouted", content_encoding="utf-8",
)  # fmt: skip


class AppTask(Task):
    """The base class of the whole app; a task that is `noisy` traces what is called on it."""

    noisy = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.noisy:
            return self.run(*args, **kwargs)
        trace(self.name, "called", args)
        return ["around", super().__call__(*args, **kwargs)]

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        if self.noisy:
            trace(self.name, "delayed", args)
        return super().delay(*args, **kwargs)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        if self.noisy:
            trace(self.name, "applied", args, sorted(options))
        return super().apply_async(args, kwargs, **options)

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        if self.noisy:
            trace(self.name, "retried")
        return super().retry(*args, **kwargs)


def by_function(
    name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any
) -> Any:
    """A router of the app: by an argument."""
    return {"queue": "by_function"} if kwargs and kwargs.get("where") == "function" else None


app = Celery("styles", broker=os.environ.get("BROKER_URL", "memory://"), task_cls=AppTask)
if ADOPTED:
    from jobmonitor import JobMonitor

    monitor = JobMonitor(app, beat_interval=2.0, lost_after=20.0, restartable=["styles.*"])
app.conf.update(
    result_backend=os.environ.get("RESULT_URL") or None,
    task_acks_late=True,  # as jobmonitor has it, so that all else can be compared
    accept_content=["json", "pickle", "yaml", "application/x-shouted"],
    result_accept_content=["json", "pickle"],
    worker_hijack_root_logger=False,
    worker_send_task_events=True,
    task_send_sent_event=True,
    task_queues=[
        Queue("celery"),
        Broadcast("everybody"),
        Queue("second"),
        Queue("by_name"),
        Queue("by_glob"),
        Queue("by_function"),
        Queue("own", Exchange("own_exchange", type="direct"), routing_key="own.key"),
        Queue("topics", Exchange("topic_exchange", type="topic"), routing_key="shop.#"),
    ],
    task_routes=(
        {"styles.routed_by_name": {"queue": "by_name"}, "styles.glob.*": "by_glob"},
        by_function,
    ),
)
own_backend = app._get_backend()
own_backend.task_keyprefix = b"own-"


def request_of(task: Task) -> dict[str, Any]:
    """Tell every field of a task's request that is the same wherever it runs."""
    fields = dict(vars(task.request))
    told = {name: getattr(task.request, name) for name in type(task.request).__dict__}
    told = {name: value for name, value in told.items() if not callable(value)} | fields
    return {
        name: repr(value) if _is_odd(value) else value
        for name, value in told.items()
        if name not in _REQUEST_LEFT_OUT and not name.startswith("__")
    }


@app.task(bind=True, name="styles.report", base=Task)
def report(self: Task, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return request_of(self)


@app.task(bind=True, name="styles.routed_by_name")
def routed_by_name(self: Task) -> str:
    return str(self.request.delivery_info["routing_key"])


@app.task(bind=True, name="styles.glob.any")
def routed_by_glob(self: Task, where: str = "") -> str:
    return str(self.request.delivery_info["routing_key"])


@app.task(bind=True, name="styles.anywhere")
def anywhere(self: Task, where: str = "") -> list[Any]:
    info = self.request.delivery_info
    return [info["exchange"], info["routing_key"], info["priority"]]


@app.task(bind=True, name="styles.everywhere")
def everywhere(self: Task, key: str) -> None:
    trace(key, self.request.hostname)


@app.task(bind=True, name="styles.told_on_the_way")
def told_on_the_way(self: Task, words: list[str], **added: str) -> list[Any]:
    return [words, added, self.request.headers]


@app.task(bind=True, name="styles.by_task", queue="by_name", priority=3)
def routed_by_task(self: Task) -> list[Any]:
    info = self.request.delivery_info
    return [info["exchange"], info["routing_key"], info["priority"]]


@app.task(bind=True, name="styles.retried_report", max_retries=2)
def retried_report(self: Task, how: dict[str, Any]) -> dict[str, Any]:
    if not self.request.retries:
        raise self.retry(countdown=0, **how)
    return request_of(self)


@app.task(name="styles.add")
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="styles.untyped", typing=False)
def untyped(a: int) -> int:
    return a


@app.task(name="styles.fail")
def fail(message: str) -> None:
    raise ValueError(message)


@app.task(name="styles.noisy", noisy=True, bind=True, max_retries=1)
def noisy(self: Task, word: str) -> str:
    if word == "again" and not self.request.retries:
        raise self.retry(countdown=0)
    return word


@app.task(name="styles.parent", bind=True)
def parent(self: Task) -> list[str]:
    return [add.delay(1, 1).id, add.delay(2, 2).id]


@app.task(name="styles.progressing", bind=True)
def progressing(self: Task, marker: str) -> str:
    self.update_state(state="PROGRESS", meta={"done": 3})
    while not Path(marker).exists():
        pass
    return "done"


@app.task(name="styles.echo")
def echo(value: Any) -> Any:
    return value


@app.task(name="styles.told", bind=True)
def told(self: Task, value: Any) -> list[Any]:
    return [repr(value), type(value).__name__]


@app.task(name="styles.pickled", serializer="pickle", bind=True)
def pickled(self: Task, value: Any) -> list[Any]:
    return [repr(value), type(value).__name__]


@app.task(name="styles.ignored", ignore_result=True)
def ignored() -> int:
    return 1


class Order(BaseModel):
    amount: int


@app.task(name="styles.by_model", pydantic=True)
def by_model(order: Order) -> Order:
    return Order(amount=order.amount + 1)


@shared_task(name="styles.shared", bind=True)
def shared(self: Task, word: str) -> list[Any]:
    return [word, self.request.id, type(self).__mro__[-2].__name__]


class Handled(AppTask):
    """A class-based task with state of its own and every handler."""

    name = "styles.handled"
    max_retries = 1

    def __init__(self) -> None:
        self.runs = 0
        self.word = "kept"

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        kwargs["added"] = "before the start"
        trace(task_id, "before_start", args, dict(kwargs), self.request.id)
        if args[0] == "break before":
            raise LookupError("before the start")

    def run(self, how: str, added: str = "nothing") -> list[str]:
        trace(self.request.id, "run", how, added)
        if how == "fail":
            raise ValueError("as asked")
        if how == "retry" and not self.request.retries:
            raise self.retry(exc=ValueError("not yet"), countdown=0)
        return [how, added, self.word]

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        trace(task_id, "on_success", retval, args, kwargs)
        if args[0] == "break after":
            raise LookupError("in on_success")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        trace(task_id, "on_failure", exc, args, kwargs, type(einfo).__name__)

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        trace(task_id, "on_retry", type(exc).__name__, args, kwargs)

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        trace(task_id, "after_return", status, retval, args, kwargs)


handled = app.register_task(Handled())


class HeardRequest(Request):
    """What main does for a task, with more of the app's own."""

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        trace(self.id, "the request failed", self.name)
        return super().on_failure(exc_info, *args, **options)


@app.task(name="styles.with_request", Request=HeardRequest)
def with_request() -> None:
    raise ValueError("as asked")


@app.task(name="styles.with_backend", backend=own_backend, track_started=True, bind=True)
def with_backend(self: Task) -> str:
    return str(self.backend.get_state(self.request.id))


@app.task(name="styles.leave")
def leave(how: str) -> None:
    raise Ignore() if how == "ignore" else Reject("as asked", requeue=False)


@app.task(name="styles.wait")
def wait(marker: str) -> str:
    while not Path(marker).exists():
        time.sleep(0.02)
    return "waited"


if "watching" in os.environ.get("STORIES", ""):
    import tests.acceptance.styles_ears  # noqa: F401
