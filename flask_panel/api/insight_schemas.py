"""What goes in and out of `/api/v1/queues`, `/api/v1/shares` and `/api/v1/workers`.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from jobmonitor.insight import LIMIT_MAX

_UNKNOWN = "null where the broker cannot tell"


def _text() -> ma.fields.String:
    return ma.fields.String(allow_none=True)


def _number(description: str | None = None) -> ma.fields.Float:
    more: Any = {} if description is None else {"metadata": {"description": description}}
    return ma.fields.Float(allow_none=True, **more)


def _count(description: str) -> ma.fields.Integer:
    description = f"{description}; {_UNKNOWN}"
    return ma.fields.Integer(allow_none=True, metadata={"description": description})


class GateSchema(ma.Schema):
    """Whether a low job would be taken now, and why not."""

    is_open = ma.fields.Boolean()
    reason = ma.fields.String()


class QueueSchema(ma.Schema):
    """A queue. What is held, due or quarantined is not counted as waiting."""

    name = ma.fields.String()
    fair = ma.fields.Boolean()
    waiting = ma.fields.Integer()
    oldest_seconds = _number("How long the oldest waits, of those that are next of some roots")
    low = _count("Low jobs that wait")
    running = _count("In the hands of workers")
    due = _count("Due later")
    held = _count("Of roots that are held")
    quarantined = _count("Set aside since they make no sense")
    roots = _count("Roots of which normal jobs wait")
    low_roots = _count("Roots of which low jobs wait")
    capacity = _count("How many jobs its workers run at once")
    paused_at = ma.fields.DateTime(allow_none=True)
    gate = ma.fields.Nested(GateSchema, allow_none=True)


class QueuesSchema(ma.Schema):
    """Each queue that the app names, a worker consumes, or a recent job waits in."""

    queues = ma.fields.List(ma.fields.Nested(QueueSchema))


class SharesArguments(ma.Schema):
    """Of which queue, all if none is given, and of one root or how many in the order."""

    queue = ma.fields.String(validate=validate.Length(max=500))
    root = ma.fields.String(validate=validate.Length(max=255))
    limit = ma.fields.Integer(load_default=20, validate=validate.Range(1, LIMIT_MAX))


class ShareSchema(ma.Schema):
    """What a root received in a window; shares are parts of 1, null where nobody did."""

    received_seconds = ma.fields.Float()
    share = _number()
    due_share = _number("By its weight, in the minutes in which it waited or ran")


class RootSchema(ma.Schema):
    """A root in the order of a queue; `position` is null where nothing of it stands there."""

    root_id = ma.fields.String()
    label = _text()
    type = _text()
    position = ma.fields.Integer(allow_none=True)
    waiting = ma.fields.Integer()
    low = ma.fields.Integer()
    running = ma.fields.Integer()
    held = ma.fields.Integer()
    weight = ma.fields.Float()
    oldest_seconds = _number()
    last_5_minutes = ma.fields.Nested(ShareSchema)
    last_hour = ma.fields.Nested(ShareSchema)


class QueueSharesSchema(ma.Schema):
    """The first roots of a queue, then some that only run or are held; or why none."""

    queue = ma.fields.String()
    reason = _text()
    roots = ma.fields.List(ma.fields.Nested(RootSchema))


class SharesSchema(ma.Schema):
    """The shares in each queue that was asked for."""

    queues = ma.fields.List(ma.fields.Nested(QueueSharesSchema))


class WorkerJobSchema(ma.Schema):
    """A job in the hands of a worker; what is no job has no label, status and time."""

    id = ma.fields.String()
    label = _text()
    type = ma.fields.String()
    root_id = ma.fields.String()
    status = _text()
    running_seconds = _number()


class WorkerSchema(ma.Schema):
    """A worker that has not ended; of one without jobmonitor the broker tells only some."""

    id = ma.fields.String()
    node = _text()
    host = _text()
    pid = ma.fields.Integer(allow_none=True)
    pool = _text()
    version = _text()
    slots = ma.fields.Integer()
    queues = ma.fields.List(ma.fields.String())
    started_at = ma.fields.DateTime(allow_none=True)
    silent_seconds = ma.fields.Float()
    lives = ma.fields.Boolean()
    running = ma.fields.Integer()
    jobs = ma.fields.List(
        ma.fields.Nested(WorkerJobSchema), metadata={"description": "The newest twenty"}
    )


class WorkersSchema(ma.Schema):
    """The workers that have not ended."""

    workers = ma.fields.List(ma.fields.Nested(WorkerSchema))
