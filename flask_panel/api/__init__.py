"""The HTTP API, `/api/v1`, described by the OpenAPI document that it serves.

Runs in: the web server.
"""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api

from flask_panel.api.insight import blueprint as insight
from flask_panel.api.jobs import blueprint as jobs
from flask_panel.api.statistics import blueprint as statistics
from flask_panel.auth import register_limiter
from flask_panel.login import csrf


def register_api(app: Flask) -> None:
    """Put the API and its description into the app."""
    app.config.update(
        API_TITLE="jobmonitor",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/api/v1",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"security": [{"bearer": []}]},
    )
    api = Api(app)
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    for blueprint in (jobs, statistics, insight):
        api.register_blueprint(blueprint)
        csrf.exempt(blueprint)  # programs send tokens; a cookie opens nothing here
    register_limiter(app)
