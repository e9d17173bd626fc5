"""jobmonitor: see and steer the jobs of a Celery app.

The public names are loaded when they are first used, so that `import jobmonitor.transport`
pulls in nothing of Postgres.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobmonitor.current import current_job
    from jobmonitor.errors import JobMonitorError
    from jobmonitor.monitor import JobMonitor
    from jobmonitor.states import Operation, Status
    from jobmonitor.task import JobTask

_WHERE = {
    "JobMonitor": "monitor",
    "JobMonitorError": "errors",
    "JobTask": "task",
    "Operation": "states",
    "Status": "states",
    "current_job": "current",
}

__all__ = ["JobMonitor", "JobMonitorError", "JobTask", "Operation", "Status", "current_job"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'jobmonitor' has no attribute {name!r}")
    return getattr(import_module(f"jobmonitor.{_WHERE[name]}"), name)
