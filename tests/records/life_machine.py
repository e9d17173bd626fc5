"""The state machine: what workers and people do, one after the other, world against model."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.records.life_actions import (
    Action,
    Again,
    Beat,
    BecomeDue,
    Checkpoint,
    Claim,
    EndByMain,
    Finish,
    GoOn,
    Lose,
    Operate,
    Revoked,
    Submit,
    Tell,
)
from tests.records.life_model import Model
from tests.records.life_rows import FINAL, HELD, KINDS, OPERATIONS
from tests.records.life_snapshot import (
    Snapshot,
    differences,
    miscounted,
    snapshot_of_model,
    snapshot_of_world,
)
from tests.records.life_world import WORKERS, World

MOST_JOBS = 10
_chance = st.integers(0, 3).map(lambda number: number == 0)
_kinds = st.sampled_from(sorted(KINDS))


class Life(RuleBasedStateMachine):
    """What workers and people do, one after the other."""

    world: World
    #: (what happened, status before, status after), over all examples
    seen: ClassVar[Counter[tuple[str, str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world.clear()
        self.model = Model(alive=dict.fromkeys(WORKERS, True))
        #: what each process is at: running, or tail (it finished and owes a continuation)
        self.processes: dict[str, str] = {}
        self.names = 0

    # -- submitted -------------------------------------------------------------------------

    @initialize(data=st.data(), children=st.integers(0, 3), runs=st.integers(0, 2))
    def begin_with_a_family(self, data: st.DataObject, children: int, runs: int) -> None:
        """A root, children, grandchildren; most of what operations do they do to trees."""
        self.do(Submit(self.name("j"), data.draw(_kinds)))
        for member in range(1, 1 + runs):
            name = self.name("p")
            job_id = list(self.model.jobs)[min(member, len(self.model.jobs)) - 1]
            self.do(Claim(job_id, 1, data.draw(st.sampled_from(WORKERS)), self.names, name))
            for _ in range(children):
                self.do(Submit(self.name("j"), data.draw(_kinds), inside=name))

    @precondition(lambda self: len(self.model.jobs) < MOST_JOBS)
    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        self.do(self.draw_submit(data))

    @precondition(lambda self: len(self.model.jobs) < MOST_JOBS and self.at("running"))
    @rule(data=st.data())
    def submit_child(self, data: st.DataObject) -> None:
        self.do(self.draw_child(data))

    @precondition(lambda self: self.some_jobs())
    @rule(data=st.data())
    def submit_the_same_id_again(self, data: st.DataObject) -> None:
        self.do(self.draw_same_id(data))

    def draw_submit(self, data: st.DataObject) -> Action:
        kind, due, low = data.draw(_kinds), data.draw(_chance), data.draw(_chance)
        group = f"g{self.world.example}" if data.draw(_chance) else None
        return Submit(
            self.name("j"), kind, group=group, due=due, low=low, fails=data.draw(_chance)
        )

    def draw_child(self, data: st.DataObject) -> Action:
        inside = data.draw(st.sampled_from(self.at("running")))
        key = data.draw(st.sampled_from([None, None, "a", "b"]))
        kind, due = data.draw(_kinds), data.draw(_chance)
        return Submit(self.name("j"), kind, inside=inside, key=key, due=due)

    def draw_same_id(self, data: st.DataObject) -> Action:
        ended = [job for job in self.some_jobs() if self.model.jobs[job].status in FINAL]
        job_id = data.draw(st.sampled_from(ended or self.some_jobs()))
        return Submit(job_id, self.model.jobs[job_id].kind.name, due=data.draw(_chance))

    # -- delivered and run -----------------------------------------------------------------

    @precondition(lambda self: self.deliverable())
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.do(self.draw_claim(data))

    @precondition(lambda self: self.deliverable())
    @rule(data=st.data())
    def deliver_once_more(self, data: st.DataObject) -> None:
        self.do(self.draw_claim(data))

    @precondition(lambda self: self.at("running"))
    @rule(data=st.data())
    def claim_again_because_the_answer_was_lost(self, data: st.DataObject) -> None:
        self.do(self.draw_same_claim(data))

    @precondition(lambda self: self.at("running"))
    @rule(data=st.data())
    def reach_a_checkpoint(self, data: st.DataObject) -> None:
        self.do(self.draw_checkpoint(data))

    @precondition(lambda self: self.at("running"))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.do(self.draw_finish(data))

    @precondition(lambda self: self.at("tail"))
    @rule(data=st.data())
    def end_the_tail(self, data: st.DataObject) -> None:
        self.do(GoOn(data.draw(st.sampled_from(self.at("tail")))))

    @precondition(lambda self: self.at("running"))
    @rule(data=st.data())
    def take_another_turn(self, data: st.DataObject) -> None:
        self.do(self.draw_again(data))

    @precondition(lambda self: self.waiting_for_members())
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.waiting_for_members()))
        self.do(Submit(job_id, self.model.jobs[job_id].kind.name))

    def draw_claim(self, data: st.DataObject) -> Action:
        """Mostly a copy that waits, sometimes any that was ever published."""
        copies = self.deliverable()
        waiting = [copy for copy in copies if copy not in self.model.delivered]
        any_copy = data.draw(_chance) or not waiting
        job_id, dispatch = data.draw(st.sampled_from(copies if any_copy else waiting))
        worker = data.draw(st.sampled_from(WORKERS))
        name = self.name("p")
        return Claim(job_id, dispatch, worker, int(name[1:]), name)

    def draw_same_claim(self, data: st.DataObject) -> Action:
        name = data.draw(st.sampled_from(self.at("running")))
        job = self.model.jobs.get(self.model.attempts[name][0])
        assert job is not None
        dispatch = job.dispatch - job.due  # what is not due is still with the broker
        return Claim(job.id, dispatch, job.worker or "w1", int(name[1:]), name)

    def draw_checkpoint(self, data: st.DataObject) -> Action:
        name = data.draw(st.sampled_from(self.at("running")))
        return Checkpoint(name, data.draw(st.integers(0, 9)), errors=data.draw(_chance))

    def draw_finish(self, data: st.DataObject) -> Action:
        name = data.draw(st.sampled_from(self.at("running")))
        return Finish(name, errors=data.draw(_chance))

    def draw_again(self, data: st.DataObject) -> Action:
        name = data.draw(st.sampled_from(self.at("running")))
        turn = data.draw(st.sampled_from(["at once", "later", "members"]))
        return Again(name, due=turn == "later", members=turn == "members")

    # -- lost, limited, revoked ------------------------------------------------------------

    @precondition(lambda self: self.model.copies)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.do(self.draw_lose(data))

    @precondition(lambda self: self.model.copies)
    @rule(data=st.data())
    def meet_something_rare(self, data: st.DataObject) -> None:
        """A worker is silent, a process dies unseen, a time limit, Celery's own revoke."""
        what = data.draw(st.sampled_from(["silence", "beat", "death", "limit", "revoke"]))
        if what == "death" and self.processes:
            del self.processes[data.draw(st.sampled_from(sorted(self.processes)))]
        elif what == "limit" and self.held():
            self.do(self.draw_limit(data))
        elif what == "revoke":
            self.do(self.draw_revoked(data))
        else:
            self.do(Beat(data.draw(st.sampled_from(WORKERS)), alive=what == "beat"))

    @precondition(lambda self: self.untold())
    @rule(data=st.data())
    def tell_celery(self, data: st.DataObject) -> None:
        self.do(Tell(data.draw(st.sampled_from(self.untold()))))

    @precondition(lambda self: self.not_due())
    @rule(data=st.data())
    def become_due(self, data: st.DataObject) -> None:
        self.do(BecomeDue(data.draw(st.sampled_from(self.not_due()))))

    def draw_lose(self, data: st.DataObject) -> Action:
        """A process that runs something, a whole worker, or one that had not begun."""
        held = self.held()
        if held and not data.draw(_chance):
            job = self.model.jobs[data.draw(st.sampled_from(held))]
            pid = data.draw(st.sampled_from([job.pid, None]))
            return Lose(job.id, job.worker or "", pid, job.dispatch)
        job_id, dispatch, _ = data.draw(st.sampled_from(self.model.copies))
        return Lose(job_id, data.draw(st.sampled_from(WORKERS)), 0, dispatch)

    def draw_limit(self, data: st.DataObject) -> Action:
        job = self.model.jobs[data.draw(st.sampled_from(self.held()))]
        assert job.worker is not None
        assert job.pid is not None
        return EndByMain(job.id, job.worker, job.pid)

    def draw_revoked(self, data: st.DataObject) -> Action:
        job_id, dispatch, _ = data.draw(st.sampled_from(self.model.copies))
        expired = data.draw(st.booleans())
        return Revoked(
            job_id, dispatch if expired else None, terminated=not expired and data.draw(_chance)
        )

    # -- operations ------------------------------------------------------------------------

    @precondition(lambda self: self.some_jobs())
    @rule(data=st.data())
    def operate(self, data: st.DataObject) -> None:
        self.do(self.draw_operation(data))

    @precondition(lambda self: self.some_jobs())
    @rule(data=st.data())
    def operate_a_third_time(self, data: st.DataObject) -> None:
        self.do(self.draw_operation(data))

    @precondition(lambda self: self.some_jobs())
    @rule(data=st.data())
    def operate_once_more(self, data: st.DataObject) -> None:
        self.do(self.draw_operation(data))

    def draw_operation(self, data: st.DataObject) -> Action:
        """Mostly one that changes something."""
        jobs = list(self.model.jobs)
        offered = {offer for job in jobs for offer in self.model.offered(job)}
        any_of_all = data.draw(_chance)
        operation = data.draw(
            st.sampled_from(OPERATIONS if any_of_all else sorted(offered) or OPERATIONS)
        )
        fitting = [job for job in jobs if self.model.affected(operation, job)]
        wanted = jobs if data.draw(_chance) else fitting or jobs
        return Operate(operation, data.draw(st.sampled_from(wanted)))

    # -- how it is done and compared -------------------------------------------------------

    def do(self, action: Action) -> None:
        """Do it to the world and to the model, and compare."""
        before = {job.id: job.status for job in self.model.jobs.values()}
        held = deepcopy(self.model) if isinstance(action, Operate) else None
        expected = action.expect(self.model)
        answer = action.do(self.world)
        assert answer == expected, f"{action} answered {answer}, the model says {expected}"
        self.follow(action, answer)
        found, wanted = snapshot_of_world(self.world), snapshot_of_model(self.model)
        if found != wanted and held is not None:
            self.do_held(action, held, found)
            wanted = snapshot_of_model(self.model)
        assert found == wanted, f"after {action}\n{differences(found, wanted)}"
        self.look_around(before, getattr(action, "operation", type(action).__name__))

    def do_held(self, action: Action, model: Model, found: Snapshot) -> None:
        """Take the other way of a stop, if it is what happened."""
        model.drops = model.drops_others = False
        action.expect(model)
        if snapshot_of_model(model) == found:
            self.model = model
            model.drops = model.drops_others = True

    def follow(self, action: Action, answer: Any) -> None:
        """Note what a process is at after what it was told."""
        if isinstance(action, Claim):
            if answer in {"run", "mine"}:
                self.processes[action.name] = "running"
            elif answer == "continue":
                self.processes[action.name] = "tail"
            else:
                self.processes.pop(action.name, None)
        elif isinstance(action, Finish) and answer:
            job = self.model.jobs.get(self.model.attempts[action.name][0])
            self.processes[action.name] = "tail" if job and job.kind.owes else "over"
        elif isinstance(action, Finish | Again | GoOn) or answer in {"stopped", "fenced"}:
            self.processes.pop(getattr(action, "name", ""), None)

    def look_around(self, before: dict[str, str], what: str) -> None:
        """Check what holds at every moment, whatever happened."""
        assert miscounted(self.world) == []
        for job in self.model.jobs.values():
            was = before.get(job.id, "")
            if was != job.status:
                self.seen[what, was, job.status] += 1
        self.check_messages()
        self.check_offers()

    def check_messages(self) -> None:
        """What waits has a message that waits; a stopped one too, or Resume publishes it."""
        waiting = {copy[:2] for copy in self.model.copies} - self.model.delivered
        for job in self.model.jobs.values():
            waits = job.status == "pending" and job.because != "members"
            if waits or (job.status == "stopped" and job.taken < job.dispatch):
                assert (job.id, job.dispatch) in waiting, f"{job.id} has no message"

    def check_offers(self) -> None:
        """A view offers just what would change something now; look at one job per step."""
        jobs = list(self.model.jobs)
        if jobs:
            job_id = jobs[self.names % len(jobs)]
            view = self.world.monitor.jobs.get(job_id)
            offers = [str(offer) for offer in view.operations]
            expected = self.model.offered(job_id)
            assert offers == expected, f"{job_id} offers {offers}, the model {expected}"

    # -- what there is ---------------------------------------------------------------------

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"

    def at(self, phase: str) -> list[str]:
        return [name for name, at in self.processes.items() if at == phase]

    def some_jobs(self) -> list[str]:
        return [job.id for job in self.model.jobs.values() if job.kind.name != "group"]

    def deliverable(self) -> list[tuple[str, int]]:
        """Every copy that was ever published, but for those that the broker keeps until due."""
        kept = {(job.id, job.dispatch) for job in self.model.jobs.values() if job.due}
        return [copy[:2] for copy in self.model.copies if copy[:2] not in kept]

    def held(self) -> list[str]:
        return [job for job in self.some_jobs() if self.model.jobs[job].status in HELD]

    def waiting_for_members(self) -> list[str]:
        jobs = self.model.jobs.values()
        return [job.id for job in jobs if job.status == "pending" and job.because == "members"]

    def untold(self) -> list[str]:
        return [job.id for job in self.model.jobs.values() if job.outbox in {"revoke", "fail"}]

    def not_due(self) -> list[str]:
        return [job.id for job in self.model.jobs.values() if job.due]
