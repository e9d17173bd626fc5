"""One job: every field, its runs, arguments, result or error, checkpoint, children, audit, log.

Runs in: the web server.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from flask_panel.auth import monitor
from flask_panel.filters import LogFilters
from flask_panel.live import facts_of, is_part, part, tag_of
from flask_panel.login import panel_view
from flask_panel.outcomes import QUESTIONS, WORDS
from jobmonitor.records.job_view import JobView
from jobmonitor.redaction import Redactor, storable
from jobmonitor.states import possible

blueprint = Blueprint("job_page", __name__)
#: a page that is open asks every 5 s: it does not walk larger trees to find more buttons
_WALK_MAX = 10_000


@blueprint.get("/job/")
@blueprint.get("/job/<path:job_id>")
@panel_view("viewer")
def show(job_id: str = "") -> ResponseReturnValue:
    """Show a job; its facts and its log ask for themselves whether they changed."""
    job_id = job_id or request.args.get("id", "")
    if is_part("log"):
        log = _log(job_id)
        return part(log["log_tag"], lambda: render_template("job/_lines.html", **log))
    facts = _facts(job_id)
    if is_part("job"):
        return part(facts["tag"], lambda: render_template("job/_job.html", **facts))
    return render_template("job/index.html", **facts, **_log(job_id))


def _facts(job_id: str) -> dict[str, Any]:
    jobs = monitor().jobs
    job = jobs.get(job_id, walk_max=_WALK_MAX)
    cursor = request.args.get("children") or None
    children = jobs.find(parent=job.id, cursor=cursor)
    runs, events = jobs.runs(job.id), jobs.events(job.id)
    above = {one.id: one for one in jobs.some([job.root_id, job.parent_id or job.root_id])}
    shown = facts_of([job, *children.jobs])
    return {
        "job": job, "children": children, "runs": runs, "events": events[::-1],
        "root": above.get(job.root_id), "parent": above.get(job.parent_id or ""),
        "possible": possible(job.standing), "checkpoint": _checkpoint(job), "age": _age(job),
        "words": WORDS, "questions": QUESTIONS,
        "tag": tag_of(shown, runs, events, children.cursor, children.newer),
    }  # fmt: skip


def _log(job_id: str) -> dict[str, Any]:
    filters = LogFilters.of(request.args)
    page = monitor().jobs.logs(job_id, **filters.as_query())
    shown = [line.id for line in page.lines]
    return {
        "job_id": job_id,
        "log_filters": filters,
        "log": page,
        "log_tag": tag_of(shown, page.cursor),
    }


def _checkpoint(job: JobView) -> str | None:
    """The checkpoint over several lines, without the values of secret names, cut."""
    if job.checkpoint is None:
        return None
    settings = monitor().settings
    text, _ = Redactor(settings.redact, settings.shown_max).value(job.checkpoint)
    return storable(json.dumps(json.loads(text), indent=2, ensure_ascii=False))


def _age(job: JobView) -> float | None:
    if job.checkpoint_at is None:
        return None
    return max(0.0, (datetime.now(UTC) - job.checkpoint_at).total_seconds())
