"""What a task says about its jobs: the options of design section 3, with patterns of the app.

Runs in: submitters and workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jobmonitor.settings import Settings

#: of Celery's own tasks only these are jobs: they run the app's functions
_OWN_JOBS = frozenset({"celery.map", "celery.starmap"})


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of one task; `stoppable` None means: unless it is a system job."""

    stoppable: bool | None = None
    restartable: bool = False
    system: bool = False
    low_priority: bool = False
    label: str | Callable[..., str] | None = None
    weight: float = 1.0
    rerun: bool = True


def is_tracked(name: str, task: Any) -> bool:
    """Say whether runs of a task are jobs; an unregistered task is, as far as we know."""
    if name.startswith("celery."):
        return name in _OWN_JOBS
    return bool(getattr(task, "track", True))


def options_of(task: Any, settings: Settings, name: str) -> TaskOptions:
    """Read the options of a task, or of a name whose task is not registered here."""
    stoppable = getattr(task, "stoppable", None)
    if stoppable is None and _matches(name, settings.stoppable):
        stoppable = True
    return TaskOptions(
        stoppable=stoppable,
        restartable=bool(getattr(task, "restartable", False))
        or _matches(name, settings.restartable),
        system=bool(getattr(task, "system", False)),
        low_priority=bool(getattr(task, "low_priority", False)),
        label=_label(task, name),
        weight=float(getattr(task, "weight", 1.0)),
        rerun=getattr(task, "on_worker_lost", "rerun") != "fail",
    )


def _label(task: Any, name: str) -> str | Callable[..., str] | None:
    if name in _OWN_JOBS:
        return _mapped
    label = getattr(task, "label", None)
    return getattr(label, "__func__", label) if callable(label) else label


def _mapped(task: Any, it: Any) -> str:
    return f"{task.get('task', 'map')} over {len(it)} items"


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
