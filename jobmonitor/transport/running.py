"""What still runs when its connection is gone, as far as the process knows.

Runs in: consumers. Celery is not imported here: where it is not, no worker can be.
"""

from __future__ import annotations

import sys
from typing import Any

from jobmonitor.transport.leases import Lease


def is_in_celery_worker() -> bool:
    """Say whether a Celery worker consumes here."""
    return _worker_state() is not None


def is_running(lease: Lease) -> bool:
    """Say whether the message of a closed channel is still being worked on.

    In a Celery worker that is what its pool has begun: what it had only received it forgets
    with the connection. Elsewhere it is what somebody still has.
    """
    message = lease.message() if lease.message is not None else None
    if message is None:
        return False
    state = _worker_state()
    if state is None:
        return True
    try:
        return any(request.message is message for request in list(state.active_requests))
    except RuntimeError:  # the set grew while it was looked at; the next beat looks again
        return True


def keep_begun(leases: list[Lease]) -> None:
    """Let a Celery worker that loses its connection keep what a process of its pool was given.

    It is about to forget all that its processes have not told to have begun, so that others can
    run it: also what was written to a process a moment ago, which then runs unheard.
    """
    state = _worker_state()
    if state is None or any(end not in (None, False) for end in _ends(state)):
        return  # at a shutdown its pool ends too
    messages = {id(lease.message()) for lease in leases if lease.message is not None}
    for request in list(state.reserved_requests):
        job: Any = request._apply_result() if request._apply_result is not None else None
        if id(request.message) in messages and getattr(job, "_write_to", None) is not None:
            state.active_requests.add(request)
            job._accepted = True


def _ends(state: Any) -> tuple[Any, Any]:
    return state.should_stop, state.should_terminate


def _worker_state() -> Any:
    return sys.modules.get("celery.worker.state")
