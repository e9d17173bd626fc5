"""What a delivered message says of its job, beside what Celery reads of it.

Runs in: the process that runs the task.
"""

from __future__ import annotations

from typing import Any

from kombu.serialization import registry

from jobmonitor import canvas
from jobmonitor.dispatch import HEADER, Message, header_of

#: in our header of a delivery: how its producer, who knew nothing of us, had serialized it
CONTENT_TYPE = "content_type"

_MESSAGE_HEADERS = (
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries",
    "timelimit", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result",
    "replaced_task_nesting", "stamped_headers", "stamps",
)  # fmt: skip


def message_of(task: Any) -> Message:
    """Rebuild the message of a job whose producer knew nothing of us."""
    request = task.request
    headers = dict(request.headers or {})
    headers |= {name: request.get(name) for name in _MESSAGE_HEADERS} | {"task": task.name}
    embed = {name: request.get(name) for name in ("callbacks", "errbacks", "chain", "chord")}
    delivery = request.delivery_info or {}
    options = {"routing_key": delivery.get("routing_key"), "exchange": delivery.get("exchange")}
    if not options["exchange"]:
        options = {"queue": delivery.get("routing_key")}
    if delivery.get("priority"):
        options["priority"] = delivery["priority"]
    properties = {"correlation_id": request.id, "reply_to": request.reply_to or ""}
    headers |= {"timelimit": list(request.timelimit or (None, None))}
    hints = header_of(request)
    headers[HEADER] = {k: v for k, v in hints.items() if k != CONTENT_TYPE}
    serializer = registry.type_to_name.get(hints.get(CONTENT_TYPE))
    if serializer:
        options["serializer"] = serializer
    body = (list(request.args or ()), dict(request.kwargs or {}), embed)
    return Message(task.name, headers, properties, body, options)


def fix_ids(request: Any) -> bool:
    """Give links fixed ids, so that a repeated tail meets what is there; is a tail owed?"""
    for kind in ("callbacks", "errbacks"):
        for position, link in enumerate(request.get(kind) or ()):
            name = f"{request.id}\n{request.get('retries', 0)}\n{kind}\n{position}"
            canvas.fix_ids(link, name)
    body = request.get("chord") or {}
    for position, link in enumerate((body.get("options") or {}).get("link_error") or ()):
        canvas.fix_ids(link, f"{body['options'].get('task_id')}\nerrbacks\n{position}")
    return any(request.get(name) for name in ("callbacks", "errbacks", "chain", "chord"))
