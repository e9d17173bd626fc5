"""The web side of jobmonitor: `create_app()` makes a Flask app with the panel and the API.

Runs in: the web server. Keeps nothing in the process: every answer is read from the stores.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue
from werkzeug.middleware.proxy_fix import ProxyFix

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
PROXIES_VARIABLE = "JOBMONITOR_PROXIES"
_BODY_MAX = 1_000_000


def create_app(monitor: JobMonitor | None = None, **config: Any) -> Flask:
    """Make the Flask app for a JobMonitor; keywords are Flask's configuration.

    PROXIES, or JOBMONITOR_PROXIES in the environment, is the number of proxies whose
    X-Forwarded headers are believed: none by default.
    Without `monitor` the environment's JOBMONITOR_APP names the Celery app as "module:name";
    its JobMonitor is used, because an operation publishes what it makes due. Raises
    ConfigurationError where that is missing. Cookies are signed with a key that is kept in the
    database, unless SECRET_KEY is given.
    """
    app = Flask(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=_BODY_MAX, PROXIES=os.environ.get(PROXIES_VARIABLE, "0")
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config.update(config)
    app.extensions["jobmonitor"] = monitor or _monitor_from_environment()
    _believe_proxies(app)
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


def _believe_proxies(app: Flask) -> None:
    """Take scheme, host and address of a visitor from the proxies before this server."""
    given = str(app.config["PROXIES"])
    if not given.isascii() or not given.isdigit():
        raise ConfigurationError(
            f"{PROXIES_VARIABLE} must be a number of proxies, not {given!r}"
        )
    hops = int(given)
    if hops:
        proxied = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
        app.wsgi_app = proxied  # type: ignore[method-assign]


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
