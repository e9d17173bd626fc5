"""The control command behind a force stop: a nudge, the truth is in Postgres.

Runs in: the worker's main process, in its event loop.
"""

from __future__ import annotations

from typing import Any

from celery.worker.control import control_command


@control_command(args=[("job_id", str), ("worker", str), ("pid", int), ("attempt", int)])
def jobmonitor_force_stop(
    state: Any, job_id: str = "", worker: str = "", pid: int = 0, attempt: int = 0, **_: Any
) -> dict[str, str]:
    """Kill the process that runs an attempt, where it is ours and still runs it."""
    side = getattr(state.app.jobmonitor, "worker_side", None)
    if side is None or side.worker_id != worker:
        return {"ok": "not ours"}
    return {"ok": side.kill(job_id, pid)}
