"""One app twice: with jobmonitor, and as plain Celery, so that a test can compare the two.

`app` is adopted, unless PLAIN is in the environment; `plain` never is. Both have the same
tasks; each line of TRACE_FILE is `<task id> <what happened> #<retries>`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from celery import Celery, Task, current_task
from celery import signals as celery_signals
from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded

from jobmonitor import JobMonitor, current_job

TRACE = os.environ.get("TRACE_FILE", "")


def trace(task_id: str, what: str) -> None:
    attempt = current_task.request.retries if current_task else 0
    with Path(TRACE).open("a") as file:
        file.write(f"{task_id} {what} #{attempt}\n")


class Told(Task):
    """A base class of the app's own that wants to know what happens."""

    def on_success(self, retval: Any, task_id: str, *_: Any) -> None:
        trace(task_id, f"on_success {retval!r}")

    def on_failure(self, exc: BaseException, task_id: str, *_: Any) -> None:
        trace(task_id, f"on_failure {type(exc).__name__}")

    def on_retry(self, exc: BaseException, task_id: str, *_: Any) -> None:
        trace(task_id, f"on_retry {type(exc).__name__}")

    def after_return(self, status: str, retval: Any, task_id: str, *_: Any) -> None:
        trace(task_id, f"after_return {status}")


TASKS: list[tuple[Callable[..., Any], dict[str, Any]]] = []


def task(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Note a task for both apps."""

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        TASKS.append((function, options))
        return function

    return note


@task(name="flaky", max_retries=3)
def flaky(self: Task, failures: int, **how: Any) -> int:
    trace(self.request.id, f"run {self.request.retries}")
    if self.request.retries < failures:
        how.setdefault("countdown", 0.5)
        raise self.retry(**how)
    return self.request.retries


@task(name="at")
def at(self: Task) -> int:
    trace(self.request.id, f"run {self.request.retries}")
    if not self.request.retries:
        raise self.retry(eta=datetime.now(UTC) + timedelta(seconds=0.5))
    return self.request.retries


@task(name="gives_up", max_retries=1)
def gives_up(self: Task, with_error: bool) -> None:
    trace(self.request.id, f"run {self.request.retries}")
    error = ValueError("out of paper") if with_error else None
    raise self.retry(countdown=0.5, exc=error)


@task(name="goes_on")
def goes_on(self: Task, how: str) -> str:
    """Ask for a retry and go on all the same."""
    trace(self.request.id, f"run {self.request.retries}")
    if self.request.retries:
        return "second"
    if how == "catch":
        try:
            self.retry(countdown=0.5)
        except Retry:
            return "first"
    self.retry(countdown=0.5, throw=False)
    if how == "raise":
        raise ValueError("after the retry")
    if how == "ignore":
        raise Ignore()
    return "first"


@task(name="changes")
def changes(self: Task, word: str, mark: str = "", later: float = 0.5) -> str:
    trace(self.request.id, f"run {word}{mark}")
    if not self.request.retries:
        self.retry(args=(f"{word} again",), kwargs={"mark": "!"}, countdown=later)
    return word + mark


@task(name="slow_retry")
def slow_retry(self: Task) -> str:
    """Run a second without a safe point, then ask for another turn."""
    trace(self.request.id, f"run {self.request.retries}")
    if not self.request.retries:
        time.sleep(1)
        self.retry(countdown=0)
    return "second"


@task(
    name="autoretried",
    autoretry_for=(LookupError, SoftTimeLimitExceeded),
    dont_autoretry_for=(KeyError,),
    max_retries=2,
    retry_backoff=1,
    retry_backoff_max=1,
    retry_jitter=False,
)
def autoretried(self: Task, error: str) -> None:
    trace(self.request.id, f"run {self.request.retries}")
    if error == "slow":
        if not self.request.retries:
            time.sleep(30)
        return
    raise {"index": IndexError, "key": KeyError}[error]("as asked")


def sleep(self: Task, seconds: float) -> str:
    trace(self.request.id, "run")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.02)
    return "slept"


@task(name="tidies_up", soft_time_limit=1)
def tidies_up(self: Task) -> str:
    trace(self.request.id, "run")
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        return "tidied up"
    return "slept"


task(name="sleep")(sleep)
task(name="short", time_limit=1)(sleep)


@task(name="moves", default_retry_delay=0)
def moves(self: Task) -> str:
    """Go on in another queue, once, with two seconds to go."""
    trace(self.request.id, f"run {self.request.delivery_info['routing_key']}")
    if not self.request.retries:
        self.retry(queue="other")
    return "moved"


@task(name="limited", rate_limit="2/s")
def limited(self: Task, number: int) -> int:
    trace(self.request.id, "run")
    return number


@task(name="rare", rate_limit="1/m")
def rare(self: Task) -> None:
    trace(self.request.id, "run")


@task(name="counts")
def counts(self: Task, steps: int) -> int:
    trace(self.request.id, "run")
    for _ in current_job().iterate(range(steps)):
        time.sleep(0.05)
    return steps


def end(self: Task, how: str) -> str:
    first = f"{self.request.id} run" not in Path(TRACE).read_text()
    trace(self.request.id, "run")
    if how == "ignore":
        raise Ignore()
    if how == "reject" or (how == "requeue" and first):
        raise Reject("as asked", requeue=how == "requeue")
    if how == "fail":
        raise ValueError("as asked")
    if how == "die" and first:
        os._exit(3)
    return how


class Early(Told):
    """A base class that says it for its tasks."""

    acks_late = False


for name, options in {
    "end": {},
    "early_by_base": {"base": Early},
    "late": {"acks_late": True},
    "early": {"acks_late": False},
    "unacknowledged": {"acks_late": True, "acks_on_failure_or_timeout": False},
    "forgetful": {"ignore_result": True},
    "told_of_errors": {"ignore_result": True, "store_errors_even_if_ignored": True},
}.items():
    task(name=name, **options)(end)


@celery_signals.task_prerun.connect
def on_prerun(task_id: str, **_: Any) -> None:
    trace(task_id, "prerun")


@celery_signals.task_postrun.connect
def on_postrun(task_id: str, state: str, **_: Any) -> None:
    trace(task_id, f"postrun {state}")


@celery_signals.task_success.connect
def on_success(sender: Task, result: Any, **_: Any) -> None:
    trace(sender.request.id, f"success {result!r}")


@celery_signals.task_failure.connect
def on_failure(task_id: str, exception: BaseException, **_: Any) -> None:
    trace(task_id, f"failure {type(exception).__name__}")


@celery_signals.task_retry.connect
def on_retry(request: Any, reason: Retry, **_: Any) -> None:
    when = reason.when if isinstance(reason.when, (int, float)) else "eta"
    trace(request.id, f"retry {reason.exc!r} {when}")


@celery_signals.task_revoked.connect
def on_revoked(request: Any, terminated: bool, signum: Any, expired: bool, **_: Any) -> None:
    number = None if signum is None else int(signum)
    trace(request.id, f"revoked {terminated} {number} {expired}")


def make(name: str, queue: str) -> Celery:
    app = Celery(name, broker=os.environ.get("BROKER_URL", "memory://"), task_cls=Told)
    app.conf.update(
        result_backend=os.environ.get("RESULT_URL") or None,
        task_default_queue=queue,
        task_time_limit=float(os.environ.get("TIME_LIMIT", 0)) or None,
        task_track_started=bool(os.environ.get("TRACK_STARTED")),
        task_store_errors_even_if_ignored=bool(os.environ.get("STORE_ERRORS")),
    )
    for function, options in TASKS:
        facts = options | {"name": f"verbs.{options['name']}"}
        app.task(shared=False, bind=True, **facts)(function)
    return app


plain = make("plain", "plain")
app = make("verbs", "verbs")
if not os.environ.get("PLAIN"):
    monitor = JobMonitor(app, beat_interval=1.0, lost_after=5.0)
