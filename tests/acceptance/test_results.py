"""AsyncResult on every status, with results in Redis, in Postgres and nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest
from celery.exceptions import TaskRevokedError, TimeoutError
from celery.result import AsyncResult

from tests.acceptance_fixtures import APP, imported_app
from tests.brokers import redis_of
from tests.waiting import eventually
from tests.workers import Worker, workers

_LONG = 30


@pytest.fixture(scope="module", params=["redis", "postgres", "none"])
def kept(
    request: pytest.FixtureRequest, environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModuleType]:  # fmt: skip
    """The app and a worker, with results kept there."""
    url = environment["JOBMONITOR_DATABASE_URL"].replace("postgresql+psycopg:", "postgresql:")
    database = url.replace("postgresql:", "db+postgresql+psycopg:")
    results = {"redis": redis_of(environment["BROKER_URL"]), "postgres": database, "none": ""}
    extra = environment | {"RESULT_URL": results[request.param]}
    with (
        imported_app(APP, extra) as module,
        workers(Worker(APP, extra, tmp_path_factory.mktemp("log"), concurrency=1)),
    ):
        module.kept_in = request.param  # type: ignore[attr-defined]
        yield module


def _is_waiting(kept: ModuleType, result: AsyncResult) -> bool:
    """Whether whoever waits for a result goes on waiting."""
    if kept.kept_in == "none":
        return True
    with pytest.raises(TimeoutError):
        result.get(timeout=0.2)
    return not (result.ready() or result.successful() or result.failed())


def test_a_stopped_job_keeps_its_caller_waiting_and_a_resumed_one_answers(
    kept: ModuleType,
) -> None:
    jobs = kept.monitor.jobs
    result = kept.count.delay(30, 0.1)
    assert _is_waiting(kept, result)
    jobs.wait_for(result.id, "running", timeout=_LONG)
    assert _is_waiting(kept, result)
    jobs.stop(result.id)
    assert jobs.get(result.id).status in ("stopping", "stopped")
    assert _is_waiting(kept, result)
    jobs.wait_for(result.id, "stopped", timeout=_LONG)
    assert _is_waiting(kept, result)
    jobs.resume(result.id)
    assert jobs.wait_for(result.id, timeout=_LONG).result == 30
    if kept.kept_in != "none":
        assert (result.get(_LONG), result.state, result.successful()) == (30, "SUCCESS", True)


def test_a_canceled_job_is_told_as_a_revoked_task(kept: ModuleType) -> None:
    jobs = kept.monitor.jobs
    result = kept.add.apply_async((1, 1), countdown=60)
    jobs.stop(result.id)
    assert _is_waiting(kept, result)
    jobs.cancel(result.id)
    jobs.wait_for(result.id, "canceled", timeout=_LONG)
    if kept.kept_in == "none":
        return
    with pytest.raises(TaskRevokedError):
        result.get(timeout=_LONG)
    assert (result.state, result.ready(), result.failed()) == ("REVOKED", True, False)


def test_an_error_is_raised_where_it_is_asked_for(kept: ModuleType) -> None:
    result = kept.fail.delay("as asked")
    assert kept.monitor.jobs.wait_for(result.id, timeout=_LONG).has_errors
    if kept.kept_in == "none":
        return
    with pytest.raises(ValueError, match="as asked"):
        result.get(_LONG)
    assert repr(result.get(_LONG, propagate=False)) == "ValueError('as asked')"
    assert (result.state, result.failed(), result.successful()) == ("FAILURE", True, False)
    assert "in fail" in str(result.traceback)


def test_children_and_parents_are_found_and_a_result_is_forgotten(kept: ModuleType) -> None:
    top = kept.grandparent.delay()
    last = (kept.add.s(1, 1) | kept.add.s(2)).delay()
    first = last.parent.id
    eventually(lambda: kept.monitor.jobs.get(first).children.finished == 1, within=_LONG)
    if kept.kept_in == "none":
        return
    assert (last.get(_LONG), last.parent.get(_LONG)) == (4, 2)
    assert [value for _, value in last.parent.collect()] == [2, 4]
    top.get(_LONG)
    assert len(top.children) == 2
    assert {child.id for child in top.children} == {
        node.job.id for node in kept.monitor.jobs.tree(top.id) if node.depth == 1
    }
    last.forget()
    assert kept.app.AsyncResult(last.id).state == "PENDING"
    assert kept.monitor.jobs.get(last.id).result == 4


def test_a_new_run_answers_anew(kept: ModuleType) -> None:
    jobs = kept.monitor.jobs
    result = kept.count.delay(1)
    jobs.wait_for(result.id, timeout=_LONG)
    assert jobs.restart(result.id)[0].changed
    jobs.wait_for(result.id, timeout=_LONG)
    assert jobs.get(result.id).run == 2
    if kept.kept_in != "none":
        again = kept.app.AsyncResult(result.id)
        assert eventually(lambda: again.state == "SUCCESS", within=_LONG)
        assert again.get(_LONG) == 1
