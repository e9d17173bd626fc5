"""`/api/v1/queues`, `/api/v1/shares`, `/api/v1/workers`: whose turn it is, and what runs.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint
from marshmallow import RAISE

from flask_panel.api import insight_schemas as schemas
from flask_panel.auth import monitor, needs

blueprint = Blueprint(
    "insight_api", __name__, url_prefix="/api/v1", description="Queues, shares, workers"
)


@blueprint.get("/queues")
@needs("viewer")
@blueprint.response(200, schemas.QueuesSchema)
def queues() -> dict[str, Any]:
    """Read what waits, runs and is held in each queue, and whether low jobs have their turn."""
    return {"queues": monitor().insight.queues()}


@blueprint.get("/shares")
@needs("viewer")
@blueprint.arguments(schemas.SharesArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.SharesSchema)
@blueprint.alt_response(404, description="There is no such queue")
def shares(arguments: dict[str, Any]) -> dict[str, Any]:
    """Read the first root jobs in the order of a queue, what each received and was due."""
    return {"queues": monitor().insight.shares(**arguments)}


@blueprint.get("/workers")
@needs("viewer")
@blueprint.response(200, schemas.WorkersSchema)
def workers() -> dict[str, Any]:
    """Read the workers that have not ended, and what each runs."""
    return {"workers": monitor().insight.workers()}
