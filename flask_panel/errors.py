"""Errors with one clear sentence: JSON `{"code", "status", "message"}`, or a page for people.

Runs in: the web server.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from kombu.exceptions import OperationalError
from werkzeug.exceptions import HTTPException, InternalServerError

from jobmonitor.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    JobMonitorError,
    JobNotFound,
    MigratedFurther,
    NotMigrated,
    QueryRefused,
    QueueNotFound,
)

logger = logging.getLogger(__name__)
_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")
_ABOUT_SERVERS = (DatabaseUnavailable, NotMigrated, MigratedFurther, OperationalError)
_CODES: dict[type[JobMonitorError], int] = {
    JobNotFound: 404,
    QueueNotFound: 404,
    QueryRefused: 400,
    ConfigurationError: 400,
    DatabaseUnavailable: 503,
    NotMigrated: 503,
    MigratedFurther: 503,
}


def register_errors(app: Flask) -> None:
    """Answer every error of the API in the same form, and every other as a page."""

    @app.errorhandler(JobMonitorError)
    def ours(error: JobMonitorError) -> ResponseReturnValue:
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), 500)
        return _answer(code, public(error))

    @app.errorhandler(OperationalError)
    def broker(error: OperationalError) -> ResponseReturnValue:
        return _answer(503, public(error))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> ResponseReturnValue:
        answer, code = _answer(error.code or 500, _sentence(error))
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                answer.headers[name] = value
        return answer, code

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> ResponseReturnValue:
        if isinstance(error, RecursionError) and request.is_json:
            return _answer(400, "this body is nested too deeply")
        logger.error("a request failed", exc_info=error)
        return _answer(500, InternalServerError.description)


def public(error: JobMonitorError | OperationalError) -> str:
    """Say what is wrong without the addresses of servers; those are for the log."""
    if not isinstance(error, _ABOUT_SERVERS):
        return str(error)
    logger.warning("a server does not answer as it should: %s", error)
    if isinstance(error, NotMigrated):
        return "the database needs `celery -A your_app jobs migrate`"
    if isinstance(error, MigratedFurther):
        return "the database was migrated by a newer jobmonitor: upgrade this one"
    name = "database" if isinstance(error, DatabaseUnavailable) else "broker"
    return f"the {name} cannot be reached"


def _sentence(error: HTTPException) -> str:
    """What validation found, field by field; else the error's own words."""
    if isinstance(error, CSRFError):
        return f"load the page again and repeat what you did: {error.description}"
    found = getattr(error, "data", None) or {}
    messages = found.get("messages")
    if not messages:
        return error.description or error.name
    return "; ".join(sorted(_flat(messages)))


def _flat(messages: object, path: str = "") -> list[str]:
    if isinstance(messages, dict):
        parts = [_flat(value, f"{path}.{name}".strip(".")) for name, value in messages.items()]
        return [line for part in parts for line in part]
    if isinstance(messages, list):
        return [f"{_place(path)}: {str(line).rstrip('.')}" for line in messages]
    return [f"{_place(path)}: {messages}"]


def _place(path: str) -> str:
    place = path.removeprefix("json.").removeprefix("query.")
    return "request" if place in ("", "_schema") else place


def _answer(code: int, message: str) -> tuple[Response, int]:
    title = HTTPStatus(code).phrase
    if request.path.startswith(_FOR_PROGRAMS):
        return jsonify(code=code, status=title, message=message), code
    shown = f"{message[:1].upper()}{message[1:]}".rstrip(".") + "."
    frame = "_alert.html" if request.headers.get("HX-Request") else "error.html"
    return make_response(render_template(frame, title=title, message=shown)), code
