"""`/healthz`: the process lives. `/readyz`: it can do its work.

Runs in: the web server.
"""

from __future__ import annotations

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from kombu.exceptions import OperationalError

from flask_panel.auth import monitor
from flask_panel.errors import public
from jobmonitor.errors import JobMonitorError
from jobmonitor.records.database import check_schema

health = Blueprint("health", __name__)


@health.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Say that the process lives."""
    return jsonify(status="ok")


@health.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Say whether database and broker can be reached and the schema is this version's."""
    problems = [problem for problem in (_database(), _broker()) if problem]
    if problems:
        return jsonify(status="not ready", problems=problems), 503
    return jsonify(status="ready")


def _database() -> str | None:
    try:
        check_schema(monitor().database)
    except JobMonitorError as error:
        return public(error)
    return None


def _broker() -> str | None:
    try:
        with monitor().app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError) as error:
        return public(OperationalError(str(error)))
    return None
