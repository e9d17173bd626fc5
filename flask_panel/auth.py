"""Who asks: bearer tokens. A cookie alone never changes anything.

Runs in: the web server.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, current_app, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from jobmonitor import JobMonitor
from jobmonitor.records.tokens import Bearer, Tokens

P = ParamSpec("P")
R = TypeVar("R")
_FAILURES = "30/minute"
_LIMITER = "jobmonitor-limiter"


def monitor() -> JobMonitor:
    """The JobMonitor of this Flask app."""
    found: JobMonitor = current_app.extensions["jobmonitor"]
    return found


def register_limiter(app: Flask) -> None:
    """Limit failed authentications per address, counted in the broker's Redis if it is one.

    Who has a valid token is never limited: behind a proxy all share one address.
    """
    url = str(app.extensions["jobmonitor"].app.conf.broker_url or "")
    storage = url if url.startswith(("redis://", "rediss://")) else "memory://"
    app.extensions[_LIMITER] = Limiter(
        get_remote_address,
        app=app,
        storage_uri=app.config.get("RATELIMIT_STORAGE_URI", storage),
        key_prefix="jobmonitor-panel",
        swallow_errors=True,
        in_memory_fallback_enabled=True,
    )


def limiter() -> Limiter:
    """What counts the attempts to get in."""
    found: Limiter = current_app.extensions[_LIMITER]
    return found


def needs(role: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a view be used by a token of this role; an operator may do what a viewer may."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.bearer = _bearer()
            if role == "operator" and g.bearer.role != "operator":
                raise Forbidden("this token may read only; changing jobs needs an operator's")
            return view(*args, **kwargs)

        return guarded

    return decorate


def _bearer() -> Bearer:
    given = request.authorization
    if given is None or given.type != "bearer" or not given.token:
        raise _unauthorized("send a token: `Authorization: Bearer …`")
    found = Tokens(monitor().database).check(given.token)
    if found is None:
        raise _unauthorized("this token is not known, or was revoked")
    return found


def _unauthorized(sentence: str) -> Unauthorized:
    """Count a failure, and raise TooManyRequests where there were too many."""
    with limiter().shared_limit(_FAILURES, scope="authentication"):
        pass
    return Unauthorized(sentence, www_authenticate=WWWAuthenticate("bearer"))
