"""What became of each selected job, in a sentence.

Runs in: the web server.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobmonitor.operations import Outcome
from jobmonitor.records.job_view import JobView
from jobmonitor.states import Operation, Status

WORDS = {
    Operation.STOP: "Stop",
    Operation.RESUME: "Resume",
    Operation.FORCE_STOP: "Force Stop",
    Operation.CANCEL: "Cancel",
    Operation.RESTART: "Restart",
    Operation.SET_LOW_PRIORITY: "Set low priority",
    Operation.REMOVE_LOW_PRIORITY: "Remove low priority",
}
#: asked before; these cost something that does not come back
QUESTIONS = {
    Operation.FORCE_STOP: "Force Stop kills the process that runs the job. Data that it was "
    "writing may be inconsistent. Force Stop?",
    Operation.CANCEL: "Cancel discards the job and its checkpoint, for good. Cancel?",
}
_DONE = {
    Operation.RESUME: "resumed",
    Operation.FORCE_STOP: "force-stopped",
    Operation.CANCEL: "canceled",
    Operation.RESTART: "restarted",
    Operation.SET_LOW_PRIORITY: "has low priority now",
    Operation.REMOVE_LOW_PRIORITY: "has no low priority any more",
}
ENDS_WITH_JOB = "it has never reached a checkpoint, so the stop ends with the job"


@dataclass(frozen=True, slots=True)
class Told:
    """An outcome for people."""

    id: str
    title: str
    changed: bool
    sentence: str


def tell(operation: Operation, outcome: Outcome, job: JobView | None) -> Told:
    """Say what an operation did to a job, and what follows from it."""
    title = outcome.id if job is None else job.label or job.type
    return Told(outcome.id, title, outcome.changed, _sentence(operation, outcome, job))


def stop_advice(job: JobView) -> str | None:
    """Say what a stop of this running job comes to; None where it ends at a checkpoint."""
    if job.standing.is_group or job.status not in {Status.RUNNING, Status.STOPPING}:
        return None
    if not job.stoppable:
        return "it cannot be stopped midway: it stays Stopping until it completes"
    if job.checkpoint_at is None:
        return ENDS_WITH_JOB
    return None


def _sentence(operation: Operation, outcome: Outcome, job: JobView | None) -> str:
    if not outcome.changed:
        return outcome.reason or "nothing changed"
    own = outcome.reason or _done(operation, outcome, job)
    below = outcome.descendants_changed
    return f"{own}; {below:,} below it changed" if below else own


def _done(operation: Operation, outcome: Outcome, job: JobView | None) -> str:
    if operation is not Operation.STOP:
        return _DONE[operation]
    if outcome.status == Status.STOPPING:
        advice = stop_advice(job) if job is not None else None
        return f"stopping: {advice or 'it ends at its next checkpoint'}"
    return "stopped"
