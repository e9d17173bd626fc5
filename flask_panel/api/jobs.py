"""`/api/v1/jobs`: read them, and what may be done to them, each operation its own POST.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

from flask import g
from flask_smorest import Blueprint
from marshmallow import RAISE
from werkzeug.exceptions import NotFound

from flask_panel.api import schemas
from flask_panel.auth import monitor, needs
from jobmonitor.errors import JobNotFound
from jobmonitor.operations import Outcome
from jobmonitor.records.logs import LogPage
from jobmonitor.states import Operation

blueprint = Blueprint("jobs", __name__, url_prefix="/api/v1/jobs", description="Jobs")


@blueprint.get("")
@needs("viewer")
@blueprint.arguments(schemas.JobsArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.PageSchema)
def find(arguments: dict[str, Any]) -> dict[str, Any]:
    """List jobs, newest first: root jobs unless `root` or `parent` is given."""
    page = monitor().jobs.find(**arguments)
    return {"jobs": [job.as_json() for job in page.jobs], "cursor": page.cursor}


@blueprint.get("/<path:job_id>")
@needs("viewer")
@blueprint.response(200, schemas.JobSchema)
def get(job_id: str) -> dict[str, Any]:
    """Read one job."""
    return monitor().jobs.get(job_id).as_json()


@blueprint.get("/<path:job_id>/children")
@needs("viewer")
@blueprint.arguments(schemas.PageArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.PageSchema)
def children(arguments: dict[str, Any], job_id: str) -> dict[str, Any]:
    """List the children of a job, newest first."""
    jobs = monitor().jobs
    page = jobs.find(parent=jobs.get(job_id).id, **arguments)
    return {"jobs": [job.as_json() for job in page.jobs], "cursor": page.cursor}


@blueprint.get("/<path:job_id>/tree")
@needs("viewer")
@blueprint.arguments(schemas.TreeArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.TreeSchema)
def tree(arguments: dict[str, Any], job_id: str) -> dict[str, Any]:
    """Read a job and its descendants, depth first."""
    nodes = monitor().jobs.tree(job_id, **arguments)
    return {"jobs": [{"depth": node.depth, **node.job.as_json()} for node in nodes]}


@blueprint.get("/<path:job_id>/logs")
@needs("viewer")
@blueprint.arguments(schemas.LogsArguments, location="query", unknown=RAISE)
@blueprint.response(200, schemas.LinesSchema)
def logs(arguments: dict[str, Any], job_id: str) -> LogPage:
    """Read what a job logged, printed and warned, newest first or oldest first."""
    newest_first = arguments.pop("order") == "newest"
    return monitor().jobs.logs(job_id, newest_first=newest_first, **arguments)


@blueprint.get("/<path:job_id>/events")
@needs("viewer")
@blueprint.response(200, schemas.EventsSchema)
def events(job_id: str) -> dict[str, Any]:
    """Read the audit of a job: who did what, and transitions that nobody asked for."""
    jobs = monitor().jobs
    return {"events": jobs.events(jobs.get(job_id).id)}


def _apply(operation: Operation, arguments: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """200 where something changed, 409 where nothing did, 404 where no id exists."""
    with monitor().acting(g.bearer.name):
        outcomes = monitor().jobs.apply(
            operation, arguments["ids"], reason=arguments.get("reason")
        )
    if all(outcome.status is None for outcome in outcomes):
        if len(outcomes) > 1:
            raise NotFound(f"there is no job with any of these {len(outcomes):,} ids")
        raise JobNotFound(outcomes[0].id[:255])
    changed = any(outcome.changed for outcome in outcomes)
    return {"outcomes": [_plain(outcome) for outcome in outcomes]}, 200 if changed else 409


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in outcome.__slots__}


def _add(operation: Operation) -> None:
    @needs("operator")
    @blueprint.arguments(schemas.OperationArguments)
    @blueprint.response(200, schemas.OutcomesSchema)
    @blueprint.alt_response(409, schema=schemas.OutcomesSchema, description="Nothing changed")
    def view(arguments: dict[str, Any]) -> tuple[dict[str, Any], int]:
        return _apply(operation, arguments)

    view.__name__ = operation.value.replace("-", "_")
    view.__doc__ = (
        f"{operation.value.replace('-', ' ').capitalize()} jobs and what is below them."
    )
    blueprint.post(f"/{operation.value}")(view)


for _operation in Operation:
    _add(_operation)
