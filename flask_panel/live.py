"""Parts of a page that ask every 5 s whether they changed: 304 where they did not.

Runs in: the web server. The tag of a part says what it shows, but not what only grows with the
clock; `panel.js` counts that on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, g, make_response, request

from jobmonitor.records.job_view import JobView

_HEADER = "HX-PTag"
_GROWING = ("waiting_seconds", "duration_seconds")


def is_part(name: str) -> bool:
    """Say whether only this part of the page is asked for."""
    asked = request.headers.get("HX-Target", "")
    return bool(request.headers.get("HX-Request")) and asked.rpartition("#")[2] == name


def tag_of(*facts: Any) -> str:
    """Name what is shown: the same facts, for a person of the same role, the same tag."""
    text = json.dumps([g.person.role, *facts], default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def facts_of(jobs: Iterable[JobView]) -> list[Any]:
    """What jobs show that does not merely grow with the clock."""
    return [_facts(job) for job in jobs]


def _facts(job: JobView) -> dict[str, Any]:
    facts = job.as_json() | {"checkpoint_at": job.checkpoint_at, "left": job.unfinished}
    growing = [job.waiting_grows, job.duration_grows]
    steady = [
        None if grows else facts[name] for name, grows in zip(_GROWING, growing, strict=True)
    ]
    return facts | dict(zip(_GROWING, steady, strict=True)) | {"growing": growing}


def part(tag: str, render: Callable[[], str]) -> Response:
    """Answer 304 where the part still shows that; else render it."""
    if request.headers.get(_HEADER) == tag:
        response = make_response("", 304)
    else:
        response = make_response(render())
    response.headers[_HEADER] = tag
    response.headers["Vary"] = "HX-Request"
    return response
