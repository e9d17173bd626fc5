"""What a task says about its jobs: the options of design section 3, with patterns of the app.

Runs in: submitters and workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from jobmonitor.errors import ConfigurationError
from jobmonitor.settings import Settings, is_number, shown

#: of Celery's own tasks only these are jobs: they run the app's functions
_OWN_JOBS = frozenset({"celery.map", "celery.starmap"})
_LIGHTEST, _HEAVIEST = 0.001, 1_000


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
    """Read the options of a task, or of a name whose task is not registered here.

    Raises ConfigurationError for what an option cannot be.
    """
    _choice(task, name, "track", True)
    stoppable = _choice(task, name, "stoppable", None)
    if stoppable is None and _matches(name, settings.stoppable):
        stoppable = True
    return TaskOptions(
        stoppable=stoppable,
        restartable=_choice(task, name, "restartable", False)
        or _matches(name, settings.restartable),
        system=_choice(task, name, "system", False),
        low_priority=_choice(task, name, "low_priority", False),
        label=_label(task, name),
        weight=_weight(task, name),
        rerun=_reruns(task, name),
    )


def _choice(task: Any, name: str, option: str, default: bool | None) -> Any:
    value = getattr(task, option, default)
    if value is default or isinstance(value, bool):
        return value
    raise _refused(name, option, "True or False", value)


def _weight(task: Any, name: str) -> float:
    value = getattr(task, "weight", 1.0)
    if is_number(value) and _LIGHTEST <= value <= _HEAVIEST:
        return float(value)
    raise _refused(name, "weight", f"a number from {_LIGHTEST} to {_HEAVIEST:,}", value)


def _reruns(task: Any, name: str) -> bool:
    value = getattr(task, "on_worker_lost", "rerun")
    if isinstance(value, str) and value in ("rerun", "fail"):
        return value == "rerun"
    raise _refused(name, "on_worker_lost", "'rerun' or 'fail'", value)


def _refused(name: str, option: str, takes: str, value: Any) -> ConfigurationError:
    return ConfigurationError(f"task {name}: {option} must be {takes}, not {shown(value)}")


def _label(task: Any, name: str) -> str | Callable[..., str] | None:
    if name in _OWN_JOBS:
        return _mapped
    label = getattr(task, "label", None)
    if label is None or isinstance(label, str):
        return label
    if not callable(label):
        raise _refused(name, "label", "a text or a callable of the arguments", label)
    function: Callable[..., str] = getattr(label, "__func__", label)
    return function


def _mapped(task: Any, it: Any) -> str:
    return f"{task.get('task', 'map')} over {len(it)} items"


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
