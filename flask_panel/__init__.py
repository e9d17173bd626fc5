"""The web side of jobmonitor: `create_app()` makes a Flask app with the panel and the API.

Runs in: the web server. Keeps nothing in the process: every answer is read from the stores.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue

from flask_panel.addresses import register_addresses
from flask_panel.api import register_api
from flask_panel.errors import register_errors
from flask_panel.headers import register_headers
from flask_panel.health import health
from flask_panel.login import register_login
from flask_panel.shown import register_shown
from flask_panel.views import register_views
from jobmonitor import JobMonitor
from jobmonitor.errors import ConfigurationError

APP_VARIABLE = "JOBMONITOR_APP"
_BODY_MAX = 1_000_000


def create_app(monitor: JobMonitor | None = None, **config: Any) -> Flask:
    """Make the Flask app for a JobMonitor; keywords are Flask's configuration.

    Without `monitor` the environment's JOBMONITOR_APP names the Celery app as "module:name";
    its JobMonitor is used, because an operation publishes what it makes due. Raises
    ConfigurationError where that is missing. Cookies are signed with a key that is kept in the
    database, unless SECRET_KEY is given.
    """
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=_BODY_MAX)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(config)
    app.extensions["jobmonitor"] = monitor or _monitor_from_environment()
    register_headers(app)
    register_addresses(app)
    register_login(app)
    register_shown(app)
    register_api(app)
    register_views(app)
    register_errors(app)  # after the API, whose own handlers leave out headers and sentences
    app.register_blueprint(health)

    @app.get("/")
    def index() -> ResponseReturnValue:
        return redirect(url_for("jobs_page.index"))

    return app


def _monitor_from_environment() -> JobMonitor:
    name = os.environ.get(APP_VARIABLE, "")
    module, _, attribute = name.partition(":")
    if not module:
        raise ConfigurationError(
            f"set {APP_VARIABLE} to the Celery app as `module:app`, or call create_app(monitor)"
        )
    try:
        celery_app = getattr(import_module(module), attribute or "app")
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{APP_VARIABLE}={name!r} names no app: {error}") from error
    monitor = getattr(celery_app, "jobmonitor", None)
    if not isinstance(monitor, JobMonitor):
        raise ConfigurationError(
            f"the app {name!r} has no JobMonitor; add JobMonitor(app) to it"
        )
    return monitor
