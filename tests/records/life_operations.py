"""The table of operations of design section 2: what a person does to jobs."""

from __future__ import annotations

from tests.records.life_rows import FINAL, OPERATIONS, Answer, Job
from tests.records.life_tree import Tree


class Operations(Tree):
    """A model that takes operations."""

    def offered(self, top: str) -> list[str]:
        """What may be done to a job now: what would change it or a descendant.

        A view does not look above the job: a restart below a hold and a resume below a cancel
        are offered, and refused with their reason.
        """
        job = self.jobs[top]
        fits = {operation: bool(self.affected(operation, top)) for operation in OPERATIONS}
        ended = job.kind.restartable and job.status == "finished"
        fits["restart"] = ended and self.left_nothing(job)
        fits["resume"] = any(member.status == "stopped" for member in self.tree(top))
        return [operation for operation in OPERATIONS if fits[operation]]

    def affected(self, operation: str, top: str) -> list[Job]:
        """What of a tree an operation would change now."""
        job = self.jobs[top]
        if operation == "restart":
            fits = job.kind.restartable and job.status == "finished"
            return [job] if fits and self.can_run_anew(job) else []
        if operation in {"stop", "force-stop", "cancel"} and job.guarded:
            return []
        if operation == "cancel":
            if all(member.status != "stopped" for member in self.tree(top)):
                return []
            holds = self._holds_of_cancel(top)
            return [member for member in self.tree(top) if self._discards(member, holds)]
        return [member for member in self.tree(top) if self._fits(operation, member, top)]

    def _fits(self, operation: str, job: Job, top: str) -> bool:
        if operation == "set-low-priority":
            return job.status not in FINAL and not job.low
        if operation == "remove-low-priority":
            return job.status not in FINAL and job.low
        if job.is_group or (operation != "resume" and job.guarded):
            return False
        if operation == "stop":
            return job.status in {"pending", "running"} and (
                job.status != "pending" or job.because != "members"
            )
        if operation == "force-stop":
            return job.status == "stopping"
        return job.status == "stopped" and self._lifts(job, top)

    def _lifts(self, job: Job, top: str) -> bool:
        """Whether nothing but stops at or below the top hold a job."""
        if job.guarded:
            return True
        node: str | None = job.id
        inside = True
        while node is not None:
            if node in self.holds and (not inside or self.holds[node] == "cancel"):
                return self.holds[node] != "cancel"
            inside = inside and node != top
            node = self.jobs[node].parent
        return True

    def operate(self, operation: str, top: str) -> Answer:
        """A person's operation on a job and its descendants."""
        changed = self.affected(operation, top)
        if changed:
            verb = operation.replace("-", "_").replace("remove", "set")
            getattr(self, f"_do_{verb}")(top, changed)
        own = any(job.id == top for job in changed)
        return Answer(bool(changed), own, len(changed) - own)

    def _do_stop(self, top: str, changed: list[Job]) -> None:
        if self.nearest(top) != "cancel":
            self._drop_holds(below=top)
            self.holds[top] = "stop"
        for job in changed:
            if job.status == "pending" and not job.due and (self.drops or top != job.root):
                job.taken = job.dispatch
            job.status = "stopped" if job.status == "pending" else "stopping"

    def _do_force_stop(self, top: str, changed: list[Job]) -> None:
        for job in changed:
            self._halt(job)
            if self.held(job) is None:
                self.holds[job.id] = "stop"

    def _holds_of_cancel(self, top: str) -> dict[str, str]:
        """The holds as a cancel leaves them: one at everything that is Stopped in the tree."""
        holds = dict(self.holds)
        for member in self.tree(top):
            if holds.get(member.id) == "stop":
                holds[member.id] = "cancel"
        for job in self.tree(top):
            above = self.nearest(job.id, holds)
            stopped = job.status == "stopped" and not job.guarded
            if (stopped and above != "cancel") or (job.id == top and above == "stop"):
                holds[job.id] = "cancel"
        return holds

    def _discards(self, job: Job, holds: dict[str, str]) -> bool:
        """Whether a cancel takes a job: what is Stopped, and what waits below that."""
        waits = job.status == "pending" and job.because != "members"
        below = waits and self.nearest(job.id, holds) == "cancel"
        return (job.status == "stopped" or below) and not (job.guarded or job.is_group)

    def _do_cancel(self, top: str, changed: list[Job]) -> None:
        self.holds = self._holds_of_cancel(top)
        for job in changed:
            self._discard(job)

    def _do_resume(self, top: str, changed: list[Job]) -> None:
        self._drop_holds(below=top)
        self.holds.pop(top, None)
        if self.nearest(top) == "stop":
            self.holds[top] = "release"
        for job in changed:
            job.status = "pending"
            publishes = job.taken >= job.dispatch or (job.timed and not job.due)
            if not job.due:
                job.because, job.timed = "queued", False
            if publishes:
                job.dispatch += 1
                self._publish(job)

        if self.drops_others and top != self.jobs[top].root:
            self._drop_messages(self.jobs[top].root)

    def _drop_messages(self, root: str) -> None:
        for job in self.tree(root):
            if job.status == "stopped" and not job.due:
                job.taken = max(job.taken, job.dispatch)

    def _drop_holds(self, *, below: str) -> None:
        for job in self.below(below):
            if self.holds.get(job.id) != "cancel":
                self.holds.pop(job.id, None)

    def _do_restart(self, top: str, changed: list[Job]) -> None:
        self._new_run(self.jobs[top], due=False)

    def _do_set_low_priority(self, top: str, changed: list[Job]) -> None:
        """A message that is not due later stays: it is moved, or marked to be low."""
        for job in changed:
            job.low = not job.low
            if job.status not in {"pending", "stopped"} or job.because == "members":
                continue
            gone = job.status == "pending" and job.taken >= job.dispatch
            if (job.low or top == job.root) and not job.timed and not gone:
                continue
            job.dispatch += 1
            if job.status == "stopped":
                job.taken = job.dispatch
            else:
                self._publish(job)
