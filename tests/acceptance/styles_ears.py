"""Receivers of every signal of a task, as an app may have them; each call is traced."""

from __future__ import annotations

import os
from typing import Any

from billiard.process import current_process
from celery import signals

from tests.acceptance.styles_app import trace

_NAMES = (
    "before_task_publish", "after_task_publish", "task_received", "task_prerun", "task_postrun",
    "task_success", "task_failure", "task_retry", "task_revoked", "task_rejected",
    "task_unknown", "task_internal_error",
)  # fmt: skip
_FACTS = (
    "args", "kwargs", "retval", "state", "result", "exception", "reason", "terminated",
    "signum", "expired", "name", "id", "routing_key", "exchange",
)  # fmt: skip
_receivers = []


def _id(sender: Any, facts: dict[str, Any]) -> Any:
    request = facts.get("request") or getattr(sender, "request", None)
    if isinstance(request, dict):
        request = None
    message = getattr(facts.get("message"), "headers", None) or facts.get("headers") or {}
    return facts.get("task_id") or message.get("id") or getattr(request, "id", None)


def _ear(name: str) -> Any:
    def hear(sender: Any = None, signal: Any = None, **facts: Any) -> None:
        kind = (
            "Teller" if os.environ.get("TELLER") else current_process().name.partition("-")[0]
        )
        own = sender if isinstance(sender, str) else getattr(sender, "name", None)
        said = {fact: repr(facts[fact]) for fact in _FACTS if fact in facts}
        trace(f"{_id(sender, facts)} {kind}", name, own, sorted(facts), said)

    return hear


for _name in _NAMES:
    _receivers.append(_ear(_name))
    getattr(signals, _name).connect(_receivers[-1], weak=False)
