"""The words of a job's life: statuses, operations, and which operation fits which status.

Runs in: every process. Decides only; the writes are in `records` and `operations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """Where a job stands; the value is what is stored, `shown` is what a person reads."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    CANCELED = "canceled"

    @property
    def shown(self) -> str:
        """The word for people, as in the panel."""
        return "In Progress" if self is Status.RUNNING else self.value.capitalize()


FINAL = frozenset({Status.FINISHED, Status.CANCELED})


class PendingBecause(StrEnum):
    """Why a pending job waits."""

    QUEUED = "queued"
    DUE = "due"
    RETRY = "retry"
    MEMBERS = "members"


class Operation(StrEnum):
    """What a person or a program can do to a job and its descendants."""

    STOP = "stop"
    RESUME = "resume"
    FORCE_STOP = "force-stop"
    CANCEL = "cancel"
    RESTART = "restart"
    SET_LOW_PRIORITY = "set-low-priority"
    REMOVE_LOW_PRIORITY = "remove-low-priority"


FITTING: dict[Operation, frozenset[Status]] = {
    Operation.STOP: frozenset({Status.PENDING, Status.RUNNING}),
    Operation.RESUME: frozenset({Status.STOPPED}),
    Operation.FORCE_STOP: frozenset({Status.STOPPING}),
    Operation.CANCEL: frozenset({Status.STOPPED}),
    Operation.RESTART: frozenset({Status.FINISHED}),
    Operation.SET_LOW_PRIORITY: frozenset(Status) - FINAL,
    Operation.REMOVE_LOW_PRIORITY: frozenset(Status) - FINAL,
}

_RULE = {
    Operation.STOP: "only a job that waits or runs can be stopped",
    Operation.RESUME: "only a stopped job can be resumed",
    Operation.FORCE_STOP: "only a stopping job can be force-stopped",
    Operation.CANCEL: "only a stopped job can be canceled",
    Operation.RESTART: "only a finished job can be restarted",
    Operation.SET_LOW_PRIORITY: "only a job that is not final can be set to low priority",
    Operation.REMOVE_LOW_PRIORITY: "only a job that is not final can lose its low priority",
}

#: the flag that a job must have for an operation on it
_IS_LOW = {Operation.SET_LOW_PRIORITY: False, Operation.REMOVE_LOW_PRIORITY: True}
_GUARDED = frozenset({Operation.STOP, Operation.FORCE_STOP, Operation.CANCEL})


@dataclass(frozen=True, slots=True)
class Descendants:
    """A kind of unfinished descendants; `guarded` ones take no stop, force stop or cancel."""

    status: Status
    guarded: bool
    low_priority: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """The facts of one job that decide which operations fit it.

    `unfinished` counts its descendants that are not final, `unfinished_of_run` those of its
    last run, and `below` holds their kinds, so that a finished parent still offers what its
    descendants can take. `for_members`: it waits for the canvas that stands in for it. `told`:
    its end was handed on to link, chain and chord.
    """

    status: Status
    system: bool
    stoppable: bool
    restartable: bool
    low_priority: bool
    is_group: bool = False
    unfinished: int = 0
    unfinished_of_run: int = 0
    below: frozenset[Descendants] = frozenset()
    for_members: bool = False
    told: bool = True


def refusal(operation: Operation, job: Standing) -> str | None:
    """Say why the operation does not fit the job itself, or return None where it does."""
    if operation in _GUARDED and job.system and not job.stoppable:
        return "a system job can be stopped or canceled only if its task says stoppable=True"
    if operation is Operation.RESTART:
        return _restart_refusal(job)
    if job.is_group and operation in _GUARDED | {Operation.RESUME}:
        return "a group runs nothing itself; the operation acts on its members"
    if job.for_members and operation is Operation.STOP:
        return "its members run; the operation acts on them"
    if operation is Operation.FORCE_STOP and job.status is Status.PENDING:
        return "stop it: nothing runs yet"
    if job.status not in FITTING[operation]:
        return f"{_RULE[operation]}; this one is {job.status.shown}"
    if _IS_LOW.get(operation, job.low_priority) != job.low_priority:
        return "it has low priority already" if job.low_priority else "it has no low priority"
    return None


def _restart_refusal(job: Standing) -> str | None:
    if not job.restartable:
        return "its task does not say restartable=True"
    if job.status is not Status.FINISHED:
        return f"{_RULE[Operation.RESTART]}; this one is {job.status.shown}"
    if job.unfinished_of_run:
        noun = "child is" if job.unfinished_of_run == 1 else "children are"
        return f"{job.unfinished_of_run} {noun} not finished"
    if not job.told:
        return "its end is being handed on (link, chain or chord); try again in a moment"
    return None


def possible(job: Standing) -> list[Operation]:
    """List what may ever be done to a job of this kind, now or in another status."""
    never = _GUARDED if job.system and not job.stoppable else frozenset()
    if not job.restartable:
        never |= {Operation.RESTART}
    return [operation for operation in Operation if operation not in never]


def operations_offered(job: Standing) -> list[Operation]:
    """List what may be done to the job now: on itself, or on its unfinished descendants."""
    return [
        operation
        for operation in Operation
        if refusal(operation, job) is None or fits_below(operation, job)
    ]


def fits_below(operation: Operation, job: Standing) -> bool:
    """Say whether a descendant can take an operation that acts on the whole tree."""
    guarded = operation in _GUARDED
    if operation is Operation.RESTART or (guarded and job.system and not job.stoppable):
        return False
    return any(
        kind.status in FITTING[operation]
        and not (guarded and kind.guarded)
        and _IS_LOW.get(operation, kind.low_priority) == kind.low_priority
        for kind in job.below
    )
