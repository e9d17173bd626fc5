"""No interleaving of what happens to jobs leaves the tables of design section 2.

A state machine does to real rows, in Postgres and in the broker, what workers and people do, by
one actor or by two at once, and compares with a model in plain Python after every step.
JOBMONITOR_LIFE_EXAMPLES=5000 lets it search further than a test run does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from tests.records.life_actions import Action
from tests.records.life_machine import Life
from tests.records.life_model import Model
from tests.records.life_snapshot import differences, snapshot_of_model, snapshot_of_world
from tests.records.life_world import World

MORE = os.environ.get("JOBMONITOR_LIFE_EXAMPLES")
#: a test run searches the same examples each time and shows a failure as it met it; a longer
#: search takes new ones and looks for the smallest
PROFILE = settings(
    max_examples=int(MORE or 100),
    stateful_step_count=25,
    derandomize=MORE is None,
    phases=[Phase.generate, *([Phase.shrink] if MORE else [])],
    database=None,
    print_blob=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
AT_THE_ROW = -1


class LifeOfTwo(Life):
    """The same, and now and then two of them at once."""

    @precondition(lambda self: self.model.jobs and self.model.copies)
    @rule(data=st.data())
    def two_at_once(self, data: st.DataObject) -> None:
        self.do_both(data)

    @precondition(lambda self: self.model.jobs and self.model.copies)
    @rule(data=st.data())
    def two_more_at_once(self, data: st.DataObject) -> None:
        self.do_both(data)

    def do_both(self, data: st.DataObject) -> None:
        """Let two actions meet: the outcome is that of one of the two orders."""
        first, second = self.draw_any(data), self.draw_any(data)
        pause = data.draw(st.integers(AT_THE_ROW, 12))
        before = {job.id: job.status for job in self.model.jobs.values()}
        answers = self.meet(first, second, pause)
        note(f"answered {answers}")
        found = snapshot_of_world(self.world)
        for model, expected in self.outcomes(first, second):
            if snapshot_of_model(model) == found and alike(answers) == alike(expected):
                self.model = model
                model.drops = model.drops_others = True
                break
        else:
            raise AssertionError(self.explain(first, second, pause, answers, found))
        self.follow(first, answers[0])
        self.follow(second, answers[1])
        self.look_around(before, f"{type(first).__name__}+{type(second).__name__}")

    def meet(self, first: Action, second: Action, pause: int) -> tuple[Any, Any]:
        """Run both, the second where the first has made so many statements."""
        calls = (lambda: first.do(self.world), lambda: second.do(self.world))
        if pause != AT_THE_ROW:
            return self.world.two_at_once.between(*calls, pause=pause)
        job_id = getattr(first, "job_id", None) or getattr(second, "job_id", "")
        return self.world.two_at_once.at_a_row(job_id, *calls)

    def outcomes(
        self, first: Action, second: Action
    ) -> Iterator[tuple[Model, tuple[Any, Any]]]:
        """Both orders, and what a stop or a resume may leave of the messages of a root."""
        for choices in product((True, False), repeat=2):
            self.model.drops, self.model.drops_others = choices
            yield self.in_order(first, second)
            yield self.reversed(first, second)
        self.model.drops = self.model.drops_others = True

    def in_order(self, first: Action, second: Action) -> tuple[Model, tuple[Any, Any]]:
        model = deepcopy(self.model)
        return model, (first.expect(model), second.expect(model))

    def reversed(self, first: Action, second: Action) -> tuple[Model, tuple[Any, Any]]:
        model, answers = self.in_order(second, first)
        return model, answers[::-1]

    def explain(self, first: Any, second: Any, pause: int, answers: Any, found: Any) -> str:
        lines = [f"{first} paused at {pause} and {second} at once answered {answers}"]
        for model, expected in self.outcomes(first, second):
            lines.append(f"one order answers {expected}")
            lines.append(differences(found, snapshot_of_model(model)))
        return "\n".join(lines)

    def draw_any(self, data: st.DataObject) -> Action:
        """Any action that is possible now; operations and claims more often."""
        draws: list[Callable[[st.DataObject], Action]] = [self.draw_lose, self.draw_revoked]
        draws += [self.draw_operation] * 4
        draws += [self.draw_claim] * 2 if self.deliverable() else []
        if self.at("running"):
            draws += [self.draw_checkpoint, self.draw_finish, self.draw_again, self.draw_child]
        if self.held():
            draws.append(self.draw_limit)
        return data.draw(st.sampled_from(draws))(data)


def alike(answers: tuple[Any, Any]) -> list[Any]:
    """A claim between a hold and its rows is refused as 'held', after them as 'stale'."""
    return ["stale" if answer == "held" else answer for answer in answers]


@pytest.fixture(scope="module")
def world(database_url: str, broker_url: str) -> Iterator[World]:
    world = World(database_url, broker_url)
    yield world
    world.close()


@pytest.mark.timeout(0 if MORE else 300)
@pytest.mark.parametrize("machine", [Life, LifeOfTwo])
def test_no_interleaving_leaves_the_tables(machine: type[Life], world: World) -> None:
    machine.world = world
    run_state_machine_as_test(machine, settings=PROFILE)
