"""Celery is told of an end that it did not see, in the backend of the job's task."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from types import SimpleNamespace

import pytest
from celery import Celery

from jobmonitor import JobMonitor
from jobmonitor.records.store import Ending
from jobmonitor.worker.rescue import Rescue
from tests.factories import Records

#: a task with the backend of the app, and one with its own
TASKS = ("shop.add", "shop.own")


def nothing() -> None: ...


@pytest.fixture(scope="module")
def told(database_url: str) -> Iterator[SimpleNamespace]:
    """A rescue in this process, and both backends of its app by the names of the tasks."""
    app = Celery("telling", broker="memory://", backend="cache+memory://", set_as_current=False)
    own = app._get_backend()
    own.task_keyprefix = b"own-"
    monitor = JobMonitor(app, database_url=database_url)
    app.task(name="shop.add", shared=False)(nothing)
    app.task(name="shop.own", backend=own, shared=False)(nothing)
    app.finalize()
    backends = {"shop.add": app.backend, "shop.own": own}
    yield SimpleNamespace(rescue=Rescue(monitor), backends=backends, database=monitor.database)
    app.close()
    monitor.database.close()


@pytest.fixture
def verbs(told: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements outside a transaction, by their verbs."""
    seen: list[str] = []
    rows = told.database.rows
    monkeypatch.setattr(
        told.database, "rows", lambda verb, facts: seen.append(verb) or rows(verb, facts)
    )
    return seen


def test_what_is_owed_is_told_in_the_backend_of_each_task(
    records: Records, told: SimpleNamespace, verbs: list[str]
) -> None:
    jobs = {name: [records.make(type=name) for _ in range(3)] for name in TASKS}
    for job in chain(*jobs.values()):
        records.operate("stop", job)
        records.operate("cancel", job)
    told.rescue.empty_outbox()
    assert verbs == []
    for name, ids in jobs.items():
        for other, backend in told.backends.items():
            states = {backend.get_state(job) for job in ids}
            assert states == ({"REVOKED"} if other == name else {"PENDING"})


@pytest.mark.parametrize("name", TASKS)
def test_a_result_that_was_lost_is_told_in_the_backend_of_its_task(
    records: Records, told: SimpleNamespace, verbs: list[str], name: str
) -> None:
    job = records.make_running(type=name)
    records.finish(job, Ending(has_errors=False, result="[42]", result_is_whole=True))
    told.rescue.tell_result(job, worker="w1", pid=None)
    assert verbs == ["ended_as"]
    assert told.backends[name].get_result(job) == [42]
    [other] = set(TASKS) - {name}
    assert told.backends[other].get_state(job) == "PENDING"
