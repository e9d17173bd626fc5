"""What goes in and out of `/api/v1/statistics`.

Runs in: the web server.
"""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from jobmonitor.records.statistics import WIDTHS

TYPES_MAX = 50
#: the words of the filter and what they mean to `read_statistics`
SYSTEM = {"false": False, "true": True, "all": None}


class StatisticsArguments(ma.Schema):
    """Which range, of which jobs: the last 24 hours, without system jobs, unless said."""

    since = ma.fields.AwareDateTime(default_timezone=None)
    until = ma.fields.AwareDateTime(default_timezone=None)
    type = ma.fields.List(
        ma.fields.String(validate=validate.Length(max=500)),
        load_default=(),
        validate=validate.Length(max=TYPES_MAX),
    )
    system = ma.fields.String(load_default="false", validate=validate.OneOf(list(SYSTEM)))
    bucket = ma.fields.Integer(
        validate=validate.OneOf(WIDTHS),
        metadata={"description": "Seconds of a bucket; chosen by the range if not given."},
    )


def _waiting(what: str) -> ma.fields.Float:
    description = f"{what} seconds of waiting; null where nothing started."
    return ma.fields.Float(allow_none=True, metadata={"description": description})


class FiguresSchema(ma.Schema):
    """Creations, and the waits that ended with a start."""

    creations = ma.fields.Integer()
    starts = ma.fields.Integer()
    average_waiting_seconds = _waiting("Average")
    minimum_waiting_seconds = _waiting("Least")
    maximum_waiting_seconds = _waiting("Most")


class BucketSchema(FiguresSchema):
    """The figures of the time from `start` on."""

    start = ma.fields.String(metadata={"format": "date-time"})


class StatisticsSchema(ma.Schema):
    """A range as a whole and in buckets, oldest first and without a gap."""

    since = ma.fields.String(metadata={"format": "date-time"})
    until = ma.fields.String(metadata={"format": "date-time"})
    bucket_seconds = ma.fields.Integer()
    total = ma.fields.Nested(FiguresSchema)
    buckets = ma.fields.List(ma.fields.Nested(BucketSchema))
