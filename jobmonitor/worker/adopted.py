"""Rows for what plain producers sent: a job is seen waiting as soon as its message was found.

Runs in: the worker's main process, in a thread beside the pool. The claim makes the row of what
comes to run before; a message that cannot be read here gets none, and goes to the quarantine.
"""

from __future__ import annotations

import base64
import logging
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

from kombu.compression import decompress
from kombu.exceptions import KombuError
from kombu.serialization import loads, prepare_accept_content, registry

from jobmonitor.dispatch import HEADER, Message, number_of
from jobmonitor.errors import JobMonitorError
from jobmonitor.records.store import NewJob
from jobmonitor.task_options import is_tracked
from jobmonitor.transport.consumer import on_adopted
from jobmonitor.worker.side import WorkerSide

logger = logging.getLogger(__name__)
_LOOK_EVERY = 0.5
_UNREADABLE = (KombuError, JobMonitorError, KeyError, TypeError, ValueError, AttributeError)


def record_adopted(side: WorkerSide) -> None:
    """From now on, record what joins the queues of this worker.

    It is told from the thread of the beat, which gevent does not know: a queue of gevent's
    would not do, so that the list is looked at.
    """
    told: deque[tuple[str, list[dict[str, Any]]]] = deque()
    on_adopted(lambda queue, found: told.append((queue, found)))
    side.every(_LOOK_EVERY, partial(_record_told, side.monitor, told))


def _record_told(monitor: Any, told: deque[tuple[str, list[dict[str, Any]]]]) -> None:
    while told:
        _record(monitor, *told[0])
        told.popleft()


def _record(monitor: Any, queue: str, found: list[dict[str, Any]]) -> None:
    jobs: dict[str, NewJob] = {}
    for raw in found:
        if number_of(raw["headers"]) is None:
            try:
                job = _job_of(monitor, queue, raw)
            except _UNREADABLE as error:
                logger.debug("a message of queue %s gets no row: %r", queue, error)
            else:
                if job is not None:
                    jobs[job.id] = job
    if jobs:
        created = monitor.store.create_many(list(jobs.values()))
        monitor.database.rows("adopted", {"ids": [row.id for row in created]})


def _job_of(monitor: Any, queue: str, raw: Mapping[str, Any]) -> NewJob | None:
    name = raw["headers"]["task"]
    task = monitor.app.tasks.get(name)
    if not is_tracked(name, task):
        return None
    job: NewJob = monitor.submission.adopted(_message_of(queue, raw, monitor.app), task)
    return job


def _message_of(queue: str, raw: Mapping[str, Any], app: Any) -> Message:
    headers, properties = dict(raw["headers"]), raw["properties"]
    body = raw["body"]
    if properties.get("body_encoding") == "base64":
        body = base64.b64decode(body)
    if headers.get("compression"):
        body = decompress(body, headers["compression"])
    content_type, accept = raw["content-type"], prepare_accept_content(app.conf.accept_content)
    args, kwargs, embed = loads(body, content_type, raw["content-encoding"], accept=accept)
    options: dict[str, Any] = {"queue": queue}
    if properties.get("priority"):
        options["priority"] = properties["priority"]
    if content_type in registry.type_to_name:
        options["serializer"] = registry.type_to_name[content_type]
    kept = {name: properties.get(name) or "" for name in ("correlation_id", "reply_to")}
    headers.setdefault(HEADER, {})
    return Message(headers["task"], headers, kept, (args, kwargs, embed), options)
