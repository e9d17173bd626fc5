"""The app of these benchmarks: plain Celery on one of four brokers, and jobs that sleep.

No record, no jobmonitor in the worker: what is measured is the transport alone. All it is told
beside is when a job begins, as a worker with jobmonitor tells it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from celery import Celery

#: our transport, ours charging by count, and Celery's own at two prefetch multipliers
KINDS = ("fair", "count", "plain-1", "plain-4")
_SCHEMES = {"fair": "fair-redis", "count": "count-redis"}
_TELLING = "tests.benchmarks.fair.telling:Telling"
_TRACE = "BENCH_TRACE"


def make_app(kind: str, url: str, options: Mapping[str, Any]) -> Celery:
    """Make the app of a kind; `url` is that of its database as redis://."""
    scheme = _SCHEMES.get(kind, "redis")
    if scheme != "redis":
        from tests.benchmarks.fair import count  # a plain worker shall not know of ours

        count.register()
    app = Celery(
        f"bench-{kind}", broker=url.replace("redis:", f"{scheme}:", 1), set_as_current=False
    )
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=4 if kind == "plain-4" else 1,
        broker_connection_retry_on_startup=True,
        broker_transport_options=dict(options),
    )
    tells = {"Request": _TELLING} if scheme != "redis" else {}
    app.task(nap, name="nap", shared=False, **tells)
    app.task(nap, name="long_nap", shared=False, **tells)
    app.task(compute, name="compute", shared=False, **tells)
    app.task(nothing, name="nothing", shared=False, **tells)
    return app


def nap(root: str, published: float, seconds: float) -> None:
    """Sleep, and write down when that was."""
    began = time.time()
    time.sleep(seconds)
    _write_down(root, published, began)


def compute(root: str, published: float, seconds: float) -> None:
    """Keep the processor, so that no greenlet beside it runs, and write down when that was."""
    began = time.time()
    while time.time() < began + seconds:
        pass
    _write_down(root, published, began)


def nothing(number: int) -> None:
    """The no-op job: all that is measured is what is around it."""


def _write_down(root: str, published: float, began: float) -> None:
    line = f"{root} {published!r} {began!r} {time.time()!r}\n"
    os.write(_trace(), line.encode())


@cache
def _trace() -> int:
    return os.open(os.environ[_TRACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
