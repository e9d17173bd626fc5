"""`/api/v1/statistics`: creations and waiting times over time.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint
from marshmallow import RAISE

from flask_panel.api import statistics_schemas as schemas
from flask_panel.auth import monitor, needs

blueprint = Blueprint(
    "statistics_api", __name__, url_prefix="/api/v1/statistics", description="Statistics"
)


@blueprint.get("")
@needs("viewer")
@blueprint.arguments(schemas.StatisticsArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.StatisticsSchema)
def statistics(arguments: dict[str, Any]) -> dict[str, Any]:
    """Count creations and waiting times, of root jobs and children, in buckets of time."""
    found = monitor().jobs.statistics(
        since=arguments.get("since"),
        until=arguments.get("until"),
        types=arguments["type"],
        system=schemas.SYSTEM[arguments["system"]],
        width=arguments.get("bucket"),
    )
    return found.as_json()
