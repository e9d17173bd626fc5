"""Addresses of the panel's own pages, whatever an id or a query holds.

Runs in: the web server.
"""

from __future__ import annotations

import string
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, request, url_for

_JOB_PAGE = "job_page.show"


def register_addresses(app: Flask) -> None:
    """Read every query, and let `url_for` make an address of every job."""

    @app.before_request
    def escape_query() -> None:
        if not request.query_string.isascii():  # browsers escape; Werkzeug needs it
            escaped = quote(request.query_string, safe=string.punctuation)
            request.query_string = escaped.encode()

    @app.url_defaults
    def name_job(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == _JOB_PAGE and "job_id" in values and not _fits_path(values["job_id"]):
            values["id"] = values.pop("job_id")


def here(**changes: str | None) -> str:
    """The address of this page, with some of its query changed; None leaves out."""
    path = url_for(str(request.endpoint), **(request.view_args or {}))
    kept = [
        (name, text) for name, text in request.args.items(multi=True) if name not in changes
    ]
    query = [*kept, *((name, text) for name, text in changes.items() if text is not None)]
    return f"{path}?{urlencode(query)}" if query else path


def _fits_path(job_id: str) -> bool:
    """Browsers and servers take away `..` and `//`, also where they are escaped."""
    return job_id.isprintable() and not {"", ".", ".."} & set(job_id.split("/"))
