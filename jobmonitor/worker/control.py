"""Control commands: behind a force stop, a nudge; beside Celery's `revoke`, the row.

Runs in: the worker's main process, in its event loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.control import control_command
from celery.worker.control import revoke as plain_revoke
from kombu.utils.functional import maybe_list

from jobmonitor.said import is_id


@control_command(args=[("job_id", str), ("worker", str), ("pid", int), ("attempt", int)])
def jobmonitor_force_stop(
    state: Any, job_id: str = "", worker: str = "", pid: int = 0, attempt: int = 0, **_: Any
) -> dict[str, str]:
    """Kill the process that runs an attempt, where it is ours and still runs it."""
    side = getattr(state.app.jobmonitor, "worker_side", None)
    if side is None or side.worker_id != worker:
        return {"ok": "not ours"}
    return {"ok": side.kill(job_id, pid)}


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **more: Any
) -> dict[str, str]:
    """Revoke as Celery does; what has not started is canceled at once, in every worker."""
    answer = plain_revoke(state, task_id, terminate, signal, **more)
    side = getattr(getattr(state.app, "jobmonitor", None), "worker_side", None)
    if side is not None:
        ids = {one for one in maybe_list(task_id) or () if is_id(one)}
        for job_id in ids:
            side.end(partial(_cancel, side, job_id))
    return answer


def _cancel(side: Any, job_id: str) -> None:
    side.revoke(job_id, terminated=False, reason="revoked")
