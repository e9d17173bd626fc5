"""The tables of design section 2 in plain Python: what each event does to a job and its tree.

It knows no SQL and no times. Each event is a method that changes the model and returns what the
one who caused it is told.
"""

from __future__ import annotations

from tests.records.life_operations import Operations
from tests.records.life_rows import FINAL, GROUP, HELD, KINDS, LOST_MAX, Job, Kind


class Model(Operations):
    """What happens to jobs without a person; each event is a method."""

    # -- submitted -------------------------------------------------------------------------

    def submit(
        self,
        job_id: str,
        kind: str,
        *,
        parent: tuple[str, int] | None = None,
        key: str | None = None,
        group: str | None = None,
        low: bool = False,
        due: bool = False,
        fails: bool = False,
    ) -> str:
        """A submission; `fails`: its message arrives, but the submitter sees an error."""
        if group is not None:
            self._open(group, low)
            parent = (group, 1)
        met = self._met(job_id, parent, key)
        if met is not None:
            return self._meet(met, job_id, parent, key, due)
        job = self._new(job_id, KINDS[kind], parent, key, low, due)
        self.jobs[job_id] = job
        above = None if job.guarded else self.nearest(job.parent)
        if above == "stop":
            job.status, job.taken = "stopped", 1
        elif above == "cancel":
            self._discard(job)
        else:
            self._publish(job)
            if fails:
                del self.jobs[job_id]
                return "error"
        return "submitted"

    def _new(
        self, job_id: str, kind: Kind, parent: tuple[str, int] | None, key: str | None,
        low: bool, due: bool,
    ) -> Job:  # fmt: skip
        above = self.jobs[parent[0]] if parent else None
        system = kind.system or bool(above and above.system)
        stoppable = not system if kind.stoppable is None else kind.stoppable
        job = Job(job_id, kind, system, stoppable, low or bool(above and above.low))
        job.be_due(due)
        job.root, job.because = job_id, "due" if due else "queued"
        if above is not None and parent is not None:
            job.parent, job.parent_run = parent
            job.key = key
            job.root = above.root
            job.root_run = above.root_run if above.parent else parent[1]
        return job

    def _open(self, group: str, low: bool) -> None:
        if group not in self.jobs:
            self.jobs[group] = Job(group, GROUP, False, True, low, root=group, status="running")

    def _met(self, job_id: str, parent: tuple[str, int] | None, key: str | None) -> Job | None:
        if job_id in self.jobs:
            return self.jobs[job_id]
        for job in self.jobs.values():
            if key is not None and (job.parent, job.parent_run, job.key) == (
                *(parent or (None, None)),
                key,
            ):
                return job
        return None

    def _meet(
        self, met: Job, job_id: str, parent: tuple[str, int] | None, key: str | None, due: bool
    ) -> str:
        repeated = key is not None and parent is not None and met.parent == parent[0]
        if met.id != job_id or repeated:
            if met.status == "pending" and met.attempt == 0 and met.because != "members":
                met.dispatch += 1
                self._publish(met)
            return "submitted"
        if met.status == "pending" and met.because == "members":
            self.stand_in(met.id, due=due)
            return "submitted"
        if met.status not in FINAL or not self.can_run_anew(met):
            return "refused"
        self._new_run(met, due)
        return "submitted"

    # -- delivered -------------------------------------------------------------------------

    def claim(
        self, job_id: str, dispatch: int, worker: str, pid: int, claimed_as: str
    ) -> str | None:
        """A copy reaches a process that wants to run it."""
        job = self.jobs.get(job_id)
        if job is None:
            return None
        verdict = self._judge(job, dispatch, claimed_as)
        self.delivered.add((job_id, dispatch))
        if verdict in {"duplicate", "mine"} or (verdict == "stale" and job.dispatch > dispatch):
            return verdict
        job.taken = max(job.taken, dispatch)
        was, timed = job.status, job.timed
        if verdict in {"held", "stopped"}:
            self._halt(job)
            job.timed = timed and job.status == "stopped"
        elif verdict == "lost":
            job.lost += 1
            self._end(job, errors=True, outbox="fail")
        elif verdict in {"run", "continue"}:
            job.worker, job.pid = worker, pid
            self.attempts[claimed_as] = (job_id, job.run, job.attempt + (verdict == "run"))
        if verdict == "run":
            job.status, job.due, job.outbox = "running", False, None
            job.attempt += 1
            job.lost += was == "running"
            job.claimed_as, job.continued = claimed_as, not job.kind.owes
        return verdict

    def _judge(self, job: Job, dispatch: int, claimed_as: str) -> str:
        gone = not self.alive.get(job.worker or "", False)
        if job.status in HELD and job.claimed_as == claimed_as:
            return "mine"
        if job.dispatch != dispatch:
            return "stale"
        if job.status == "pending":
            return "held" if self.held(job) else "run"
        if job.status in HELD and not gone:
            return "duplicate"
        if job.status == "stopping":
            return "stopped"
        if job.status == "running":
            return "run" if job.lost < LOST_MAX and job.kind.rerun else "lost"
        return "continue" if job.status == "finished" and not job.continued else "stale"

    # -- while it runs, and its end --------------------------------------------------------

    def _current(self, process: str) -> Job | None:
        """The job that a process believes to run, where it still does."""
        job_id, _, attempt = self.attempts[process]
        job = self.jobs.get(job_id)
        if job is None or job.attempt != attempt or job.status not in HELD:
            return None
        return job

    def checkpoint(self, process: str, state: int, errors: bool) -> str:
        """A process reaches a safe point."""
        job = self._current(process)
        if job is None:
            return "fenced"
        job.checkpoint, job.has_errors = state, job.has_errors or errors
        if job.status == "stopping" and job.stoppable:
            self._halt(job)
            return "stopped"
        return "goes on"

    def finish(self, process: str, errors: bool) -> bool:
        """A process ends its job; what it owes is not done yet."""
        job = self._current(process)
        if job is None:
            return False
        self._end(job, errors=errors, continued=job.continued)
        return True

    def _end(
        self, job: Job, *, errors: bool, continued: bool = True, outbox: str | None = None
    ) -> None:
        job.be_due(False)
        job.status = "finished"
        job.has_errors = job.has_errors or errors
        job.continued, job.outbox = continued, outbox or job.outbox

    def close_groups(self) -> None:
        """A group is in progress until all below it is final, and owes nothing."""
        for group in self.jobs.values():
            if group.is_group:
                below = [job for job in self.jobs.values() if job.root == group.id != job.id]
                owes = any(job.status == "finished" and not job.continued for job in below)
                done = not owes and all(job.status in FINAL for job in below)
                group.status = "finished" if done else "running"

    def go_on(self, process: str) -> None:
        """Celery's tail of a finished attempt is done."""
        job_id, _, attempt = self.attempts[process]
        job = self.jobs.get(job_id)
        if job and job.attempt == attempt and job.status == "finished":
            job.continued = True

    def again(self, process: str, *, due: bool, members: bool = False) -> str:
        """A process ends in a retry, or others stand in for its job."""
        job = self._current(process)
        if job is None:
            return "fenced"
        job.dispatch += 1
        job.retries += not members
        job.be_due(due)
        job.because = "members" if members else "retry"
        if self.held(job) == "cancel":
            self._discard(job)
        elif job.status == "stopping":
            job.status, job.taken = "stopped", job.dispatch
        else:
            job.status = "pending"
            if not members:
                self._publish(job)
        return job.status

    def stand_in(self, job_id: str, *, due: bool = False) -> str | None:
        """What stood in for a job hands over to it."""
        job = self.jobs[job_id]
        if job.status != "pending" or job.because != "members":
            return None
        job.dispatch += 1
        job.be_due(due)
        job.because = "due" if due else "queued"
        held = self.held(job)
        if held == "cancel":
            self._discard(job)
        elif held == "stop":
            job.status, job.taken = "stopped", job.dispatch
        else:
            self._publish(job)
        return job.status

    # -- ended by somebody else ------------------------------------------------------------

    def lose(self, job_id: str, worker: str, pid: int | None, dispatch: int) -> str | None:
        """The process that had a delivery is gone; pid None: its whole worker.

        Main then acknowledges the delivery, whether it had been claimed or not.
        """
        if pid is not None:
            self.delivered.add((job_id, dispatch))
        job = self.jobs.get(job_id)
        return None if job is None else self._lose_it(job, worker, pid, dispatch)

    def _lose_it(self, job: Job, worker: str, pid: int | None, dispatch: int) -> str | None:
        mine = job.worker == worker and (pid is None or job.pid == pid)
        if job.status in HELD and mine:
            return self._lose(job)
        if job.status == "finished" and not job.continued and job.worker == worker:
            job.dispatch += 1
            self._publish(job)
            return "tail"
        return self._lose_unclaimed(job, pid) if job.dispatch == dispatch else None

    def _lose_unclaimed(self, job: Job, pid: int | None) -> str | None:
        if job.status == "stopped" and pid is not None:
            job.taken = job.dispatch
            return "stopped"
        if job.status != "pending" or job.because == "members":
            return None
        if self.held(job):
            job.taken = job.dispatch
            self._halt(job)
            return job.status
        job.dispatch += 1
        self._publish(job)
        return "again"

    def _lose(self, job: Job) -> str:
        held, before = self.held(job), job.lost
        job.lost += job.status == "running"
        if held == "cancel" or job.status == "stopping":
            job.taken = job.dispatch
            self._halt(job)
            return job.status
        if before >= LOST_MAX or not job.kind.rerun:
            self._end(job, errors=True, outbox="fail")
            return "failed"
        job.be_due(before > 0)
        job.status = "pending"
        job.because = "retry" if before else "queued"
        job.dispatch += 1
        self._publish(job)
        return "again"

    def end_by_main(self, job_id: str, worker: str, pid: int) -> bool:
        """A hard time limit."""
        job = self.jobs.get(job_id)
        if job is None or job.status not in HELD or (job.worker, job.pid) != (worker, pid):
            return False
        self._end(job, errors=True)
        return True

    def revoked(self, job_id: str, dispatch: int | None, terminated: bool) -> bool:
        """Celery ended it: revoked, or (with a dispatch) expired."""
        job = self.jobs.get(job_id)
        fitting = {"pending", "stopped"} | (HELD if terminated else frozenset())
        if job is None or job.status not in fitting or dispatch not in {None, job.dispatch}:
            return False
        if job.status == "pending" and job.because == "members":
            return False
        self._discard(job)
        return True

    def told(self, job_id: str) -> None:
        """A worker told Celery of an end."""
        self.jobs[job_id].outbox = None
