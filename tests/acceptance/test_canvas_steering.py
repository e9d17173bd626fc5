"""Members that are stopped, resumed and canceled: chains and chords go on once, or are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import redis
from celery import Signature, chain, chord
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import AsyncResult

from tests.acceptance_fixtures import imported_app
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.canvas_app"
EXPIRES = 4


@pytest.fixture(scope="module", params=["redis", "postgres"])
def world(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SimpleNamespace]:
    """An app whose results expire soon, and a worker that can be replaced."""
    directory = tmp_path_factory.mktemp("steering")
    own = environment | {"RESULT_EXPIRES": str(EXPIRES), "TRACE_FILE": str(directory / "trace")}
    if request.param == "postgres":
        own["RESULT_URL"] = f"db+{environment['JOBMONITOR_DATABASE_URL']}"
    with imported_app(APP, own) as shop, ExitStack() as stack:

        def start() -> Worker:
            worker = Worker(APP, own, directory, concurrency=3)
            stack.enter_context(workers(worker))
            return worker

        yield SimpleNamespace(
            shop=shop, jobs=shop.monitor.jobs, start=start, directory=directory,
            redis=redis.Redis.from_url(redis_of(environment["BROKER_URL"])), worker=start(),
        )  # fmt: skip


def test_what_waits_for_a_stopped_member_goes_on_once_when_it_is_resumed(
    world: SimpleNamespace,
) -> None:
    """Also after the worker was replaced and its results would have expired twice."""
    shop, jobs = world.shop, world.jobs
    marker = world.directory / "go on"
    body = shop.kept

    def until() -> Signature:
        return shop.until.si(str(marker), 5)

    results = {
        "chain": chain(until(), body.s("chain")).apply_async(),
        "chord": chord([shop.add.s(1, 1), until()], body.s("chord")).apply_async(),
        "in": chord([chain(shop.double.s(1), until()), shop.add.s(1, 1)], body.s("in"))(),
        "of": chord([chord([shop.add.s(1, 1), until()], shop.total.s()), shop.add.s(3, 3)],
                    body.s("of"))(),
        "re": chord([shop.replaced_by.s(until()), shop.add.s(1, 1)], body.s("re"))(),
    }  # fmt: skip
    stopped = _stop_all(world, len(results))
    _let_expire(world)
    world.shop.app.backend.cleanup()
    world.worker.kill()
    _let_expire(world)
    world.worker = world.start()
    _let_expire(world)
    world.shop.app.backend.cleanup()
    marker.touch()
    assert all(outcome.changed for outcome in jobs.resume(stopped))
    got = {name: result.get(timeout=30) for name, result in results.items()}
    assert got == {"chain": 5, "chord": [2, 5], "in": [5, 2], "of": [7, 6], "re": [5, 2]}
    lines = (world.directory / "trace").read_text().splitlines()
    assert Counter(lines) == Counter({"until 5": 5, **{f"kept {name}": 1 for name in results}})


def _stop_all(world: SimpleNamespace, count: int) -> list[str]:
    """Stop each job that goes on until a file is there, as they turn up; their ids."""
    jobs = world.jobs

    def stopped() -> list[str] | None:
        page = jobs.find(
            status=("pending", "running", "stopped"), type=(world.shop.until.name,),
            roots_only=False,
        )  # fmt: skip
        jobs.stop([job.id for job in page.jobs if job.status != "stopped"])
        ids = [job.id for job in page.jobs if job.status == "stopped"]
        return ids if len(ids) == count else None

    return eventually(stopped, within=40, every=0.2, says=f"{count} jobs are stopped")


def _let_expire(world: SimpleNamespace) -> None:
    """Let the time pass after which a result expires, and some more."""
    world.redis.set("this expires", 1, ex=EXPIRES + 1)
    eventually(lambda: not world.redis.exists("this expires"), within=20)


def test_a_canceled_member_is_told_as_a_revoked_one(world: SimpleNamespace) -> None:
    shop, jobs = world.shop, world.jobs

    def never() -> Signature:
        return shop.until.si(str(world.directory / "never"), 1)

    errors = shop.errback.s()
    in_chain = chain(never(), shop.kept.s("canceled chain")).apply_async()
    of_chord = chord([shop.add.s(1, 1), never()], shop.kept.s("canceled").on_error(errors))()
    of_chain = chord(
        [chain(never(), shop.double.s()), shop.add.s(1, 1)],
        shop.kept.s("canceled").on_error(errors),
    )()
    ids = _stop_all(world, 3)
    assert all(outcome.changed for outcome in jobs.cancel(ids))
    for result, error in (
        (AsyncResult(in_chain.id, app=shop.app), TaskRevokedError),
        (of_chord, ChordError), (of_chain, ChordError),
    ):  # fmt: skip
        with pytest.raises((error, TaskRevokedError)):
            result.get(timeout=30)
        eventually(lambda result=result: result.state in {"FAILURE", "REVOKED"}, within=20)
        assert isinstance(AsyncResult(result.id, app=shop.app).result, error)
    lines = eventually(lambda: _traced(world, "errback", 2), within=20)
    assert "kept canceled" not in lines
    for job_id in ids:
        assert jobs.get(job_id).status == "canceled"
    root = jobs.get(jobs.get(of_chord.parent.results[0].id).root_id)
    assert jobs.wait_for(root.id, timeout=20).status == "finished"


def _traced(world: SimpleNamespace, line: str, times: int) -> list[str] | None:
    lines = (world.directory / "trace").read_text().splitlines()
    return lines if lines.count(line) == times else None


def test_a_canceled_tree_tells_the_chord_that_it_is(world: SimpleNamespace) -> None:
    shop, jobs = world.shop, world.jobs
    members = [shop.steps.s(200, "tree"), shop.steps.s(200, "tree")]
    result = chord(members, shop.kept.s("tree"))()
    root = result.parent.id
    eventually(lambda: jobs.get(root).descendants.total == 2, within=20)
    jobs.stop(root)
    eventually(lambda: {n.job.status for n in jobs.tree(root)[1:]} == {"stopped"}, within=20)
    assert jobs.cancel(root)[0].descendants_changed == 2
    eventually(lambda: jobs.get(root).descendants.finished == 2, within=20)
    with pytest.raises((ChordError, TaskRevokedError)):
        result.get(timeout=20)
    assert jobs.wait_for(root, timeout=20).status == "finished"
