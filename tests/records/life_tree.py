"""The model's jobs, holds and messages, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.records.life_rows import FINAL, Job


@dataclass(slots=True)
class Tree:
    """All jobs, holds, workers, and every copy of a message that was ever published."""

    jobs: dict[str, Job] = field(default_factory=dict)
    holds: dict[str, str] = field(default_factory=dict)
    alive: dict[str, bool] = field(default_factory=dict)
    copies: list[tuple[str, int, bool]] = field(default_factory=list)
    #: copies that a worker took, and what each process believes to run: (job, run, attempt)
    delivered: set[tuple[str, int]] = field(default_factory=set)
    attempts: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    #: what a stop leaves of messages: they are dropped, or those of a whole root may be held;
    #: and whether a resume of a part drops the others of a root that was held
    drops: bool = True
    drops_others: bool = True

    # -- the tree --------------------------------------------------------------------------

    def children(self, job_id: str) -> list[Job]:
        """The direct children of all runs."""
        return [job for job in self.jobs.values() if job.parent == job_id]

    def below(self, job_id: str) -> Iterator[Job]:
        """All descendants."""
        for child in self.children(job_id):
            yield child
            yield from self.below(child.id)

    def tree(self, job_id: str) -> list[Job]:
        """A job and its descendants."""
        return [self.jobs[job_id], *self.below(job_id)]

    def nearest(self, job_id: str | None, holds: dict[str, str] | None = None) -> str | None:
        """The nearest hold at or above a job, a release included."""
        holds = self.holds if holds is None else holds
        while job_id is not None:
            if job_id in holds:
                return holds[job_id]
            job_id = self.jobs[job_id].parent
        return None

    def held(self, job: Job) -> str | None:
        """What holds a job: stop, cancel, or nothing."""
        found = None if job.guarded else self.nearest(job.id)
        return None if found == "release" else found

    def can_run_anew(self, job: Job) -> bool:
        """Its end was handed on, nothing holds it from above, its last run left nothing."""
        above = None if job.guarded else self.nearest(job.parent)
        return above not in {"stop", "cancel"} and self.left_nothing(job)

    def left_nothing(self, job: Job) -> bool:
        """Its end was handed on, and its last run has no unfinished descendants."""
        return job.told and not any(
            member.status not in FINAL
            for child in self.children(job.id)
            if child.parent_run == job.run
            for member in self.tree(child.id)
        )

    # -- what several events do -------------------------------------------------------------

    def _publish(self, job: Job) -> None:
        self.copies.append((job.id, job.dispatch, job.low))

    def _halt(self, job: Job) -> None:
        """What was to stop has stopped: for a person, or for good."""
        if self.held(job) == "cancel":
            self._discard(job)
        else:
            job.be_due(job.due and job.status == "pending")
            job.status = "stopped"

    def _discard(self, job: Job, outbox: str | None = "revoke") -> None:
        job.be_due(False)
        job.status, job.checkpoint = "canceled", None
        job.outbox = outbox or job.outbox

    def _new_run(self, job: Job, due: bool) -> None:
        self.holds.pop(job.id, None)
        job.be_due(due)
        job.status, job.because = "pending", "due" if due else "queued"
        job.run += 1
        job.dispatch += 1
        job.retries = job.lost = 0
        job.continued, job.outbox, job.has_errors = True, "forget", False
        job.checkpoint = None
        self._publish(job)
