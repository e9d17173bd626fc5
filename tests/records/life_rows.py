"""What the model knows of a job: its kind, its row, and what a person is told."""

from __future__ import annotations

from dataclasses import dataclass

LOST_MAX = 3
FINAL = frozenset({"finished", "canceled"})
HELD = frozenset({"running", "stopping"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What a task says of its jobs."""

    name: str
    system: bool = False
    stoppable: bool | None = None
    restartable: bool = False
    rerun: bool = True
    owes: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("plain"),
        Kind("deaf", stoppable=False),
        Kind("repeatable", restartable=True),
        Kind("linked", restartable=True, owes=True),
        Kind("chained", owes=True),
        Kind("fragile", rerun=False),
        Kind("system", system=True),
        Kind("tame", system=True, stoppable=True),
    )
}
GROUP = Kind("group", stoppable=True)
OPERATIONS = (
    "stop", "resume", "force-stop", "cancel", "restart", "set-low-priority",
    "remove-low-priority",
)  # fmt: skip


@dataclass(slots=True)
class Job:
    """One row."""

    id: str
    kind: Kind
    system: bool
    stoppable: bool
    low: bool
    parent: str | None = None
    parent_run: int | None = None
    root: str = ""
    root_run: int = 1
    key: str | None = None
    status: str = "pending"
    because: str = "queued"
    #: `due`: not before some time; `timed`: there is a due time, which may have passed
    due: bool = False
    timed: bool = False
    run: int = 1
    attempt: int = 0
    dispatch: int = 1
    taken: int = 0
    retries: int = 0
    lost: int = 0
    continued: bool = True
    outbox: str | None = None
    has_errors: bool = False
    worker: str | None = None
    pid: int | None = None
    claimed_as: str | None = None
    checkpoint: int | None = None

    def be_due(self, due: bool) -> None:
        """Wait until some time, or not."""
        self.due = self.timed = due

    @property
    def is_group(self) -> bool:
        """It stands for a canvas from outside and runs nothing itself."""
        return self.kind == GROUP

    @property
    def guarded(self) -> bool:
        """Neither stop, force stop, cancel nor a hold touches it."""
        return self.system and not self.stoppable

    @property
    def told(self) -> bool:
        """Its end was handed on: to link, chain, chord and Celery's result."""
        return self.continued and self.outbox in {None, "forget"}

    @property
    def has_message(self) -> bool:
        """Whether its publishable message is kept."""
        if self.is_group:
            return False
        if self.status not in FINAL or self.outbox in {"revoke", "fail"}:
            return True
        return self.status == "finished" and (self.kind.restartable or not self.continued)


@dataclass(frozen=True, slots=True)
class Answer:
    """What whoever operates is told: was anything changed, the job itself, how many below."""

    changed: bool
    own: bool
    below: int
