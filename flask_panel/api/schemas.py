"""What goes in and out of the API.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import validate

from jobmonitor.records import logs
from jobmonitor.records.queries import LIMIT_MAX
from jobmonitor.states import Status

IDS_MAX = 1_000
_TEXT_MAX = 500
_STATUSES = [status.value for status in Status]


class PageArguments(ma.Schema):
    """Where a page begins and how long it is."""

    cursor = ma.fields.String(validate=validate.Length(max=1_000))
    limit = ma.fields.Integer(load_default=50, validate=validate.Range(1, LIMIT_MAX))


class JobsArguments(PageArguments):
    """Which jobs a page shows; root jobs unless `root` or `parent` is given."""

    status = ma.fields.List(ma.fields.String(validate=validate.OneOf(_STATUSES)))
    type = ma.fields.List(ma.fields.String(validate=validate.Length(max=_TEXT_MAX)))
    has_errors = ma.fields.Boolean()
    low_priority = ma.fields.Boolean()
    system = ma.fields.Boolean()
    run_by = ma.fields.String(validate=validate.Length(max=_TEXT_MAX))
    root = ma.fields.String(validate=validate.Length(max=255))
    parent = ma.fields.String(validate=validate.Length(max=255))
    q = ma.fields.String(validate=validate.Length(max=_TEXT_MAX))
    created_from = ma.fields.AwareDateTime(default_timezone=None)
    created_to = ma.fields.AwareDateTime(default_timezone=None)
    started_from = ma.fields.AwareDateTime(default_timezone=None)
    started_to = ma.fields.AwareDateTime(default_timezone=None)
    finished_from = ma.fields.AwareDateTime(default_timezone=None)
    finished_to = ma.fields.AwareDateTime(default_timezone=None)


class TreeArguments(ma.Schema):
    """How much of a tree is shown."""

    limit = ma.fields.Integer(load_default=1_000, validate=validate.Range(1, 5_000))


class LogsArguments(ma.Schema):
    """Which lines of a log; `level` is the least one, by name or number."""

    level = ma.fields.String(validate=validate.Length(1, 20))
    q = ma.fields.String(validate=validate.Length(max=_TEXT_MAX))
    order = ma.fields.String(
        load_default="newest", validate=validate.OneOf(["newest", "oldest"])
    )
    cursor = ma.fields.String(validate=validate.Length(max=1_000))
    limit = ma.fields.Integer(load_default=200, validate=validate.Range(1, logs.LIMIT_MAX))


class ProgressSchema(ma.Schema):
    """done/total of the job's own work; percent null is unknown."""

    done = ma.fields.Float(allow_none=True)
    total = ma.fields.Float(allow_none=True)
    percent = ma.fields.Float(allow_none=True)
    message = ma.fields.String(allow_none=True)


class CountsSchema(ma.Schema):
    """Children or descendants of the current run; final ones count as finished."""

    total = ma.fields.Integer()
    finished = ma.fields.Integer()
    with_errors = ma.fields.Integer()


def _text(**options: Any) -> ma.fields.String:
    return ma.fields.String(allow_none=True, **options)


class JobSchema(ma.Schema):
    """A job; its fields stand in the order of `JobView.as_json`."""

    id = ma.fields.String()
    label = _text()
    type = ma.fields.String()
    run_by = _text()
    parent_id = _text()
    root_id = ma.fields.String()
    queue = ma.fields.String()
    status = ma.fields.String(validate=validate.OneOf(_STATUSES))
    pending_because = _text()
    has_errors = ma.fields.Boolean()
    error = _text()
    low_priority = ma.fields.Boolean()
    system = ma.fields.Boolean()
    created_at = _text(metadata={"format": "date-time"})
    due_at = _text(metadata={"format": "date-time"})
    waiting_seconds = ma.fields.Float()
    started_at = _text(metadata={"format": "date-time"})
    duration_seconds = ma.fields.Float(allow_none=True)
    finished_at = _text(metadata={"format": "date-time"})
    progress = ma.fields.Nested(ProgressSchema)
    children = ma.fields.Nested(CountsSchema)
    descendants = ma.fields.Nested(CountsSchema, allow_none=True)
    stoppable = ma.fields.Boolean()
    restartable = ma.fields.Boolean()
    operations = ma.fields.List(ma.fields.String())
    run = ma.fields.Integer()
    attempt = ma.fields.Integer()
    retries = ma.fields.Integer()
    lost = ma.fields.Integer()
    worker = _text()
    args = ma.fields.Raw(allow_none=True)
    kwargs = ma.fields.Raw(allow_none=True)
    result = ma.fields.Raw(allow_none=True)


class PageSchema(ma.Schema):
    """Some jobs, newest first, and the cursor behind them."""

    jobs = ma.fields.List(ma.fields.Nested(JobSchema))
    cursor = _text()


class NodeSchema(JobSchema):
    """A job in a tree."""

    depth = ma.fields.Integer()


class TreeSchema(ma.Schema):
    """A job and its descendants, depth first."""

    jobs = ma.fields.List(ma.fields.Nested(NodeSchema))


class EventSchema(ma.Schema):
    """An entry of a job's audit."""

    at = ma.fields.DateTime()
    event = ma.fields.String()
    actor = _text()
    from_status = _text()
    to_status = _text()
    reason = _text()


class EventsSchema(ma.Schema):
    """The newest entries, oldest first."""

    events = ma.fields.List(ma.fields.Nested(EventSchema))


class LineSchema(ma.Schema):
    """A line of a log; `level` is a number of Python's logging."""

    id = ma.fields.Integer()
    at = ma.fields.DateTime()
    run = ma.fields.Integer()
    attempt = ma.fields.Integer()
    level = ma.fields.Integer()
    level_name = ma.fields.String()
    logger = ma.fields.String()
    message = ma.fields.String()


class LinesSchema(ma.Schema):
    """Some lines, and the cursor behind them; the id of a line is the cursor behind it."""

    lines = ma.fields.List(ma.fields.Nested(LineSchema))
    cursor = _text()


class OperationArguments(ma.Schema):
    """On which jobs, and why."""

    ids = ma.fields.List(
        ma.fields.String(), required=True, validate=validate.Length(1, IDS_MAX)
    )
    reason = _text(validate=validate.Length(max=_TEXT_MAX))


class OutcomeSchema(ma.Schema):
    """What became of one job."""

    id = ma.fields.String()
    changed = ma.fields.Boolean()
    status = _text()
    descendants_changed = ma.fields.Integer()
    reason = _text()


class OutcomesSchema(ma.Schema):
    """An outcome per id, in the order of the ids."""

    outcomes = ma.fields.List(ma.fields.Nested(OutcomeSchema))
