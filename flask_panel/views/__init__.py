"""The pages of the panel.

Runs in: the web server.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, g, request

from flask_panel.addresses import here
from flask_panel.auth import monitor
from flask_panel.views.job import blueprint as job
from flask_panel.views.jobs import blueprint as jobs
from flask_panel.views.statistics import statistics


def register_views(app: Flask) -> None:
    """Put the pages into the app."""
    for blueprint in (jobs, job, statistics):
        app.register_blueprint(blueprint)
    app.context_processor(_frame)


def _frame() -> dict[str, Any]:
    """What the frame around every page needs."""
    return {
        "person": g.get("person"),
        "app_name": monitor().app.main or "",
        "shows_system": request.args.get("system") == "1" or None,
        "with_system": _with_system,
        "here": here,
    }


def _with_system(shown: bool) -> str:
    """This page's address with or without system jobs, from its first page on."""
    return here(cursor=None, system="1" if shown else None)
