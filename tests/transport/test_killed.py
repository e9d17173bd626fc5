"""Workers that die or stop answering in every state: another one runs what they held."""

from __future__ import annotations

import signal

import pytest

from tests.transport.world import World
from tests.waiting import eventually
from tests.workers import Worker

STATES = ("blocked", "taken", "running", "before_ack")
FAILPOINTS = {"taken": "taken:kill", "before_ack": "before_transport_ack:kill"}


@pytest.fixture(scope="module")
def started(world: World) -> dict[str, Worker]:
    """A worker for each state and one that takes over, and what the others are to die of."""
    made = {
        state: world.worker(
            state, concurrency=1, JOBMONITOR_FAILPOINT=FAILPOINTS.get(state, "")
        )
        for state in STATES
    }
    made["zombie"] = world.worker("zombie,own", concurrency=1)
    made["greenlets"] = world.worker("greenlets", concurrency=10, options=("-P", "gevent"))
    made["other"] = world.worker("other", concurrency=4)
    world.start_all(*made.values())
    return made


@pytest.fixture(scope="module")
def other(world: World, started: dict[str, Worker]) -> Worker:
    """The worker that takes over, while the others have died."""
    world.publish("hold", "running", queue="running")
    world.has_begun("running")
    for state in ("running", "blocked"):
        started[state].kill()
    for state in ("taken", "before_ack", "blocked"):
        world.publish("nap", state, queue=state)
    for state in ("taken", "before_ack"):
        assert started[state].wait(20) == -signal.SIGKILL
    world.release("running")
    for state in STATES:
        world.take_over(started["other"], state)
    return started["other"]


@pytest.mark.parametrize("state", ["blocked", "taken"])
def test_a_job_that_a_killed_worker_had_not_begun_runs_elsewhere_once(
    world: World, other: Worker, state: str
) -> None:
    world.check(state, once=(state,))


@pytest.mark.parametrize("state", ["running", "before_ack"])
def test_a_job_that_a_killed_worker_had_begun_runs_once_more(
    world: World, other: Worker, state: str
) -> None:
    world.has_begun(state, times=2)
    world.check(state, more=(state,))
    assert len(world.runs(state)) == 2


def test_a_worker_that_was_stopped_for_too_long_harms_nobody_with_its_late_ack(
    world: World, started: dict[str, Worker]
) -> None:
    zombie = started["zombie"]
    world.publish("hold", "zombie", queue="zombie")
    (first,) = world.has_begun("zombie")
    zombie.signal(signal.SIGSTOP)
    world.take_over(started["other"], "zombie")
    world.has_begun("zombie", times=2)
    zombie.signal(signal.SIGCONT)
    world.release(first)
    world.serves("own", "zombie-goes-on")
    eventually(
        lambda: "was given to somebody else" in zombie.log, within=20, says="it has noticed"
    )
    assert list(world.leases("zombie").values()) == [1]
    world.release("zombie")
    world.check("zombie", more=("zombie",))
    assert len(world.runs("zombie")) == len(world.runs("zombie", "end")) == 2


def test_a_greenlet_that_computes_for_longer_than_lost_after_keeps_its_job(
    world: World, started: dict[str, Worker]
) -> None:
    world.publish("compute", "computed", 2.0 * world.options["lost_after"], queue="greenlets")
    world.has_begun("computed")
    world.take_over(started["other"], "greenlets")
    world.serves("greenlets", "beside-the-computed")
    world.check("greenlets", once=("computed", "beside-the-computed"))
