"""The list of jobs, and what is done to the selected ones, each operation its own POST.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, g, make_response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from flask_panel.auth import monitor
from flask_panel.filters import ListFilters
from flask_panel.live import facts_of, is_part, part, tag_of
from flask_panel.login import panel_view
from flask_panel.outcomes import QUESTIONS, WORDS, tell
from jobmonitor.records.queries import Page
from jobmonitor.states import Operation, Status
from jobmonitor.task_options import is_tracked

blueprint = Blueprint("jobs_page", __name__)
_SELECTED_MAX = 500


@blueprint.get("/jobs")
@panel_view("viewer")
def index() -> ResponseReturnValue:
    """Show a page of root jobs, newest first."""
    filters = ListFilters.of(request.args)
    cursor = request.args.get("cursor") or None
    page = monitor().jobs.find(cursor=cursor, **filters.as_query())
    tag = tag_of(facts_of(page.jobs), page.cursor, page.newer)
    frame = "jobs/_jobs.html" if is_part("jobs") else "jobs/index.html"
    return part(tag, lambda: render_template(frame, tag=tag, **_shown(filters, page)))


def _shown(filters: ListFilters, page: Page) -> dict[str, Any]:
    return {
        "filters": filters, "page": page, "statuses": list(Status), "types": _types(),
        "words": WORDS, "questions": QUESTIONS,
    }  # fmt: skip


def _types() -> list[str]:
    """The types that this app knows; a filter may name others."""
    tasks = monitor().app.tasks
    return sorted(name for name, task in tasks.items() if is_tracked(name, task))


def _apply(operation: Operation) -> ResponseReturnValue:
    """Carry it out as who is logged in; the answer says what became of each job."""
    ids = list(dict.fromkeys(request.form.getlist("id")))
    if not 0 < len(ids) <= _SELECTED_MAX:
        raise BadRequest(f"select 1 to {_SELECTED_MAX} jobs first")
    reason = request.form.get("reason", "").strip() or None
    jobs = monitor().jobs
    with monitor().acting(g.person.name):
        outcomes = jobs.apply(operation, ids, reason=reason)
    after = {job.id: job for job in jobs.some(ids)}
    told = [tell(operation, outcome, after.get(outcome.id)) for outcome in outcomes]
    part_only = request.headers.get("HX-Request")
    page = "jobs/_outcomes.html" if part_only else "jobs/outcomes.html"
    response = make_response(render_template(page, word=WORDS[operation], told=told))
    response.headers["HX-Trigger"] = "jobs-changed"
    return response


def _add(operation: Operation) -> None:
    @panel_view("operator")
    def view() -> ResponseReturnValue:
        return _apply(operation)

    endpoint = operation.value.replace("-", "_")
    blueprint.add_url_rule(
        f"/jobs/{operation.value}", endpoint=endpoint, view_func=view, methods=["POST"]
    )


for _operation in Operation:
    _add(_operation)
