"""What the fair order needs to know of a message, read from its headers.

Runs in: producers. Headers are not trusted: what makes no sense is as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: jobmonitor's own header; `root` and `weight` in it are read here
HEADER = "jobmonitor"
#: on Redis a lower number goes first: this one goes last
LOWEST_PRIORITY = 9
#: kombu's steps of priorities on Redis, without the one that stands for the low class
STEPS = (0, 3, 6)
_LIGHTEST, _HEAVIEST = 0.001, 1_000.0


def root_of(message: Mapping[str, Any]) -> str:
    """Name the root that a message is charged to: its own, its group, or itself."""
    headers = _mapping(message.get("headers"))
    own = _mapping(headers.get(HEADER)).get("root")
    for name in (own, headers.get("root_id"), headers.get("group"), headers.get("id")):
        if isinstance(name, str) and name:
            return name
    return str(message["properties"]["delivery_tag"])


def weight_of(message: Mapping[str, Any]) -> float | None:
    """Read the weight that the message gives to its root; None leaves it as it is."""
    weight = _mapping(_mapping(message.get("headers")).get(HEADER)).get("weight")
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        return None
    return float(weight) if _LIGHTEST <= weight <= _HEAVIEST else None


def due_of(message: Mapping[str, Any]) -> float | None:
    """Read when it is due, in ms since 1970; None for at once, or where that is no date."""
    eta = _mapping(message.get("headers")).get("eta")
    try:
        moment = eta if isinstance(eta, datetime) else datetime.fromisoformat(eta)  # type: ignore[arg-type]
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)  # as Celery's worker reads it
        due = moment.timestamp() * 1000
    except (TypeError, ValueError, OverflowError, OSError):
        return None
    return due if math.isfinite(due) else None


def step_of(message: Mapping[str, Any]) -> int:
    """Read the step of its priority: within its root, lower ones go first."""
    priority = _mapping(message.get("properties")).get("priority")
    if not isinstance(priority, int) or isinstance(priority, bool) or is_low(message):
        return 0
    return max(step for step in STEPS if step <= max(priority, 0))


def is_low(message: Mapping[str, Any]) -> bool:
    """Say whether it is to run when nothing else waits: the lowest priority says so."""
    priority = _mapping(message.get("properties")).get("priority")
    return isinstance(priority, int) and priority >= LOWEST_PRIORITY


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
