"""What workers and people do.

An action is done twice: by `do` to the world and by `expect` to the model; both say what the
one who acts is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jobmonitor.errors import JobExists, JobFenced, JobNotDone, JobStopped
from jobmonitor.job import Identity, RunningJob
from jobmonitor.records.attempt_writes import AttemptWrites
from jobmonitor.records.store import Delivery, Ending, Report, Turn
from jobmonitor.states import Operation
from tests.records.life_model import Model
from tests.records.life_rows import KINDS, LOST_MAX, Answer
from tests.records.life_world import BrokerError, World

LATER = timedelta(hours=1)


@dataclass(frozen=True)
class Submit:
    """A root, a child of what process `inside` runs, or a member of a group."""

    id: str
    kind: str
    inside: str | None = None
    key: str | None = None
    group: str | None = None
    low: bool = False
    due: bool = False
    fails: bool = False

    def do(self, world: World) -> Any:
        options: dict[str, Any] = {"task_id": self.id, "group_id": self.group, "key": self.key}
        options["low_priority"] = True if self.low else None
        if self.due:
            options["eta"] = datetime.now(UTC) + LATER
        with world.inside(self.inside), world.broken(self.id, self.fails):
            try:
                world.tasks[self.kind].apply_async(**options)
            except (JobExists, JobNotDone) as refused:
                assert str(refused)
                return "refused"
            except BrokerError:
                return "error"
        return "submitted"

    def expect(self, model: Model) -> Any:
        parent = model.attempts[self.inside][:2] if self.inside else None
        return model.submit(
            self.id, self.kind, parent=parent, key=self.key, group=self.group, low=self.low,
            due=self.due, fails=self.fails,
        )  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A copy of a message, maybe an old one, reaches process `name` of a worker."""

    job_id: str
    dispatch: int
    worker: str
    pid: int
    name: str

    def do(self, world: World) -> Any:
        found = world.sql("SELECT type FROM job WHERE id = %s", self.job_id)
        kind = KINDS[found[0][0]] if found else KINDS["plain"]
        delivery = Delivery(
            id=self.job_id, dispatch=self.dispatch, claimed_as=self.name, worker=self.worker,
            pid=self.pid, system=kind.system, stoppable=kind.stoppable,
            restartable=kind.restartable, rerun=kind.rerun, continues=kind.owes, lost_after=30,
            lost_max=LOST_MAX, lost_reason="lost 4 times",
        )  # fmt: skip
        claimed = world.store.claim(delivery)
        if claimed is None:
            return None
        if claimed.verdict in {"run", "mine", "continue"}:
            world.running[self.name] = _running(world, delivery, claimed)
        return claimed.verdict

    def expect(self, model: Model) -> Any:
        return model.claim(self.job_id, self.dispatch, self.worker, self.pid, self.name)


def _running(world: World, delivery: Delivery, claimed: Any) -> RunningJob:
    identity = Identity(
        delivery.id, claimed.root_id, claimed.parent_id, claimed.step_of, claimed.run,
        claimed.attempt, claimed.stoppable, claimed.checkpoint,
    )  # fmt: skip
    writes = AttemptWrites(world.store, delivery, claimed.attempt)
    return RunningJob(identity, writes, interval=0, checkpoint_max=1_000)


@dataclass(frozen=True)
class Checkpoint:
    """A process reaches a safe point, maybe with an error to report."""

    name: str
    state: int
    errors: bool = False

    def do(self, world: World) -> Any:
        job = world.running[self.name]
        try:
            if self.errors:
                job.error("a bad row")
            job.checkpoint(self.state)
        except JobStopped:
            return "stopped"
        except JobFenced:
            return "fenced"
        return "goes on"

    def expect(self, model: Model) -> Any:
        return model.checkpoint(self.name, self.state, self.errors)


@dataclass(frozen=True)
class Finish:
    """A process returns or raises; its end is stored, what it owes is not done yet."""

    name: str
    errors: bool = False

    def do(self, world: World) -> Any:
        job = world.running[self.name]
        ending = Ending(self.errors, "ValueError" if self.errors else None, outcome=b"kept")
        return job.recorder.finish(Report(), ending) is not None

    def expect(self, model: Model) -> Any:
        return model.finish(self.name, self.errors)


@dataclass(frozen=True)
class GoOn:
    """Celery's tail of a process that finished its job is done."""

    name: str

    def do(self, world: World) -> Any:
        job = world.running[self.name]
        world.store.continue_(job.id, job.attempt, fired=True)

    def expect(self, model: Model) -> Any:
        model.go_on(self.name)


@dataclass(frozen=True)
class Again:
    """A process ends in a retry, or others stand in for its job."""

    name: str
    due: bool = False
    members: bool = False

    def do(self, world: World) -> Any:
        job = world.running[self.name]
        because = "members" if self.members else "retry"
        due_at = datetime.now(UTC) + LATER if self.due else None
        turn = Turn("turn", because, "as asked", due_at, retried=not self.members)
        with world.database.transaction() as connection:
            row = job.recorder.again(connection, Report(), turn)
            if row is None:
                return "fenced"
            if row.status == "pending" and not self.members:
                world.monitor.dispatch.publish_again(row)
        return row.status

    def expect(self, model: Model) -> Any:
        return model.again(self.name, due=self.due, members=self.members)


@dataclass(frozen=True)
class Lose:
    """The process that had a delivery is gone; pid None: its whole worker."""

    job_id: str
    worker: str
    pid: int | None
    dispatch: int

    def do(self, world: World) -> Any:
        row = world.rescue.lose(
            self.job_id, worker=self.worker, pid=self.pid, dispatch=self.dispatch,
            reason="its process is gone",
        )  # fmt: skip
        return row.outcome if row is not None else None

    def expect(self, model: Model) -> Any:
        return model.lose(self.job_id, self.worker, self.pid, self.dispatch)


@dataclass(frozen=True)
class EndByMain:
    """A hard time limit."""

    job_id: str
    worker: str
    pid: int

    def do(self, world: World) -> Any:
        facts = {"worker": self.worker, "pid": self.pid, "reason": "TimeLimitExceeded"}
        return world.store.end_by_main(self.job_id, **facts)

    def expect(self, model: Model) -> Any:
        return model.end_by_main(self.job_id, self.worker, self.pid)


@dataclass(frozen=True)
class Revoked:
    """Celery refuses a delivery: revoked, or (with its dispatch) expired."""

    job_id: str
    dispatch: int | None
    terminated: bool = False

    def do(self, world: World) -> Any:
        row = world.store.revoked(
            self.job_id, terminated=self.terminated, reason="revoked", dispatch=self.dispatch
        )
        return row is not None and row.is_changed

    def expect(self, model: Model) -> Any:
        return model.revoked(self.job_id, self.dispatch, self.terminated)


@dataclass(frozen=True)
class Operate:
    """A person's operation."""

    operation: str
    job_id: str

    def do(self, world: World) -> Any:
        jobs = world.monitor.jobs
        [outcome] = jobs.apply(Operation(self.operation), self.job_id, reason="as asked")
        if not outcome.changed:
            assert outcome.reason, f"{self} was refused without a reason"
        own = outcome.changed and outcome.reason is None
        return Answer(outcome.changed, own, outcome.descendants_changed)

    def expect(self, model: Model) -> Any:
        return model.operate(self.operation, self.job_id)


@dataclass(frozen=True)
class Tell:
    """A worker tells Celery of an end that it did not see."""

    job_id: str

    def do(self, world: World) -> Any:
        world.database.rows("told", {"id": self.job_id})

    def expect(self, model: Model) -> Any:
        model.told(self.job_id)


@dataclass(frozen=True)
class Beat:
    """A worker beats, or falls silent."""

    worker: str
    alive: bool

    def do(self, world: World) -> Any:
        if self.alive:
            world.database.rows("beat", {"id": self.worker})
        else:
            past = "clock_timestamp() - interval '1 h'"
            world.sql(f"UPDATE worker SET beat_at = {past} WHERE id = %s", self.worker)

    def expect(self, model: Model) -> Any:
        model.alive[self.worker] = self.alive


@dataclass(frozen=True)
class BecomeDue:
    """The due time of a job has come."""

    job_id: str

    def do(self, world: World) -> Any:
        world.sql(
            "UPDATE job SET due_at = clock_timestamp() - interval '1 ms',"
            " waiting_since = CASE WHEN waiting_since IS NOT NULL THEN clock_timestamp() END"
            " WHERE id = %s AND due_at > clock_timestamp()",
            self.job_id,
        )

    def expect(self, model: Model) -> Any:
        model.jobs[self.job_id].due = False


Action = (
    Submit | Claim | Checkpoint | Finish | GoOn | Again | Lose | EndByMain | Revoked | Operate
    | Tell | Beat | BecomeDue
)  # fmt: skip
