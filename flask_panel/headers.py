"""Headers of every answer.

Runs in: the web server.
"""

from __future__ import annotations

from flask import Flask, Response, request

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # of another site nothing is said, but Flask-WTF looks at the referrer where TLS is used
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_OWN_FILES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def register_headers(app: Flask) -> None:
    """Add them, where a view has not said otherwise."""

    @app.after_request
    def add(response: Response) -> Response:
        page = response.mimetype == "text/html"
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _OWN_FILES if page else _NOTHING)
        if request.endpoint == "static":
            response.headers["Cache-Control"] = "no-cache"  # asked for again, answered by 304
        else:
            response.headers.setdefault("Cache-Control", "no-store")
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        return response
