"""Many submissions at once: rows in one statement, messages in one pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import redis
from celery import chain, chord, group
from celery import signals as celery_signals
from kombu.exceptions import BatchPublishError, OperationalError

from jobmonitor.errors import DatabaseUnavailable, JobExists, SubmissionRefused
from jobmonitor.transport.fair_queue import FairQueue
from jobmonitor.transport.publishing import PublishBatch
from tests.brokers import redis_of
from tests.factories import new_job
from tests.waiting import eventually
from tests.workers import Worker


@pytest.fixture
def verbs(shop: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that this process runs, by their verbs."""
    seen: list[str] = []
    rows = shop.monitor.database.rows
    monkeypatch.setattr(
        shop.monitor.database,
        "rows",
        lambda verb, facts: seen.append(verb) or rows(verb, facts),
    )
    return seen


@pytest.fixture
def queue(broker_url: str) -> Iterator[Callable[[], int]]:
    """How many messages wait; none when the test begins."""
    with redis.Redis.from_url(redis_of(broker_url)) as client:
        waiting = FairQueue(client, "celery")
        waiting.purge()
        yield waiting.size
        waiting.purge()


def test_submit_many_records_a_thousand_jobs_in_one_statement(
    shop: ModuleType, queue: Callable[[], int], verbs: list[str]
) -> None:
    results = shop.monitor.submit_many(shop.add.s(number, 1) for number in range(2_500))
    assert verbs == ["create_many"] * 3
    assert queue() == 2_500
    found = shop.monitor.jobs.some([results[0].id, results[2_499].id])
    assert {job.id: job.args for job in found} == {
        results[0].id: [0, 1], results[2_499].id: [2_499, 1],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["group", "chord"])
def test_the_members_of_a_group_go_out_together(
    shop: ModuleType, queue: Callable[[], int], verbs: list[str], kind: str
) -> None:
    header = group(shop.add.s(number, 1) for number in range(300))
    result = (header if kind == "group" else chord(header, shop.total.s())).apply_async()
    assert [verb for verb in verbs if verb != "create"] == ["create_group", "create_many"]
    assert queue() == 300
    root = shop.monitor.jobs.get(result.id if kind == "group" else result.parent.id)
    assert (root.type, root.children.total, root.descendants.total) == ("group", 300, 300)


def test_jobs_of_a_batch_are_listed_in_the_order_of_their_submission(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    results = shop.monitor.submit_many(shop.add.s(number, 7) for number in range(30))
    listed = [job.id for job in shop.monitor.jobs.find(limit=30).jobs]
    assert listed == [result.id for result in reversed(results)]


def test_a_batch_takes_whatever_is_submitted(
    shop: ModuleType, queue: Callable[[], int], verbs: list[str]
) -> None:
    one, steps, members, late = shop.monitor.submit_many(
        [
            shop.add.si(1, 1).set(run_by="bob", low_priority=True, label="one"),
            chain(shop.add.s(1, 1), shop.add.s(1)),
            group(shop.add.s(1, 1), shop.add.s(2, 2)),
            shop.add.si(1, 1).set(countdown=300),
        ]
    )
    assert verbs == ["create_group", "create_many"]
    get = shop.monitor.jobs.get
    assert (get(one.id).run_by, get(one.id).low_priority, get(one.id).label) == (
        "bob", True, "one",
    )  # fmt: skip
    assert get(steps.parent.id).status == "pending"
    assert get(members.id).children.total == 2
    assert get(late.id).pending_because == "due"


def test_signals_and_headers_are_those_of_a_single_submission(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    seen: list[tuple[str, str]] = []

    def before(sender: str, headers: dict[str, Any], **_: Any) -> None:
        headers["colour"] = "red"
        seen.append((sender, headers["id"]))

    celery_signals.before_task_publish.connect(before)
    try:
        results = shop.monitor.submit_many([shop.add.s(1, 1), shop.traced.s("word")])
    finally:
        celery_signals.before_task_publish.disconnect(before)
    assert seen == [(shop.add.name, results[0].id), (shop.traced.name, results[1].id)]
    kept = shop.monitor.database.rows("reissue", {"id": results[0].id, "dispatch": 1})
    assert json.loads(kept[0].envelope)["headers"]["colour"] == "red"


# -- what is there already, and what goes wrong --------------------------------------------


def test_an_id_that_is_not_final_is_refused_and_the_others_are_submitted(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    there = shop.add.delay(1, 1)
    signatures = [shop.add.s(2, 2), shop.add.s(3, 3).set(task_id=there.id), shop.add.s(4, 4)]
    with pytest.raises(JobExists, match="Pending"):
        shop.monitor.submit_many(signatures)
    assert queue() == 3


def test_an_id_twice_in_a_batch_is_refused_as_elsewhere(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    twice = [shop.add.s(1, 1).set(task_id="bulk-twice") for _ in range(2)]
    with pytest.raises(JobExists, match="bulk-twice"):
        shop.monitor.submit_many(twice)
    assert queue() == 1


def test_a_signature_that_is_refused_takes_its_batch_with_it(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    signatures = [shop.add.s(1, 1), shop.add.s(1, 1).set(task_id="x" * 300)]
    with pytest.raises(SubmissionRefused, match="300"):
        shop.monitor.submit_many(signatures)
    assert queue() == 0
    assert shop.monitor.jobs.find(q=signatures[0].id or "none").jobs == []


def test_a_group_that_is_refused_opens_no_root(
    shop: ModuleType, queue: Callable[[], int]
) -> None:
    members = group(shop.add.s(1, 1), shop.add.s(1, 1).set(task_id="x" * 300))
    with pytest.raises(SubmissionRefused):
        members.apply_async(task_id="never-opened")
    assert shop.monitor.jobs.some(["never-opened"]) == []
    assert queue() == 0


def test_a_batch_is_bounded_by_its_bytes_too(
    shop: ModuleType, queue: Callable[[], int], verbs: list[str]
) -> None:
    shop.monitor.submit_many(shop.traced.s("x" * 900_000) for _ in range(10))
    assert verbs == ["create_many"] * 2
    assert queue() == 10


def test_a_pipeline_that_breaks_is_published_one_by_one(
    shop: ModuleType, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes = []

    def break_it(batch: Any) -> Any:
        flushes.append(batch)
        raise BatchPublishError("as asked")

    monkeypatch.setattr("jobmonitor.transport.publishing.PublishBatch.flush", break_it)
    group(shop.add.s(number, 1) for number in range(20)).apply_async()
    assert flushes
    assert queue() == 20


def test_an_exit_in_the_middle_leaves_no_row_without_a_message(
    shop: ModuleType, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, **__: Any) -> Any:
        raise SystemExit(3)

    signatures = [shop.add.s(1, 1).set(task_id=f"bulk-exit-{n}") for n in range(4)]
    monkeypatch.setattr(shop.monitor.dispatch, "publish", leave)
    with pytest.raises(SystemExit):
        shop.monitor.submit_many(signatures)
    assert shop.monitor.jobs.some([f"bulk-exit-{n}" for n in range(4)]) == []
    assert queue() == 0


def test_an_exit_ends_the_caller_where_nothing_of_its_batch_was_new(
    shop: ModuleType, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = shop.add.delay(1, 1)

    def leave(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("kombu.messaging.Producer.batch", leave)
    with pytest.raises(KeyboardInterrupt):
        shop.monitor.submit_many([shop.add.s(1, 1).set(task_id=there.id)])
    assert shop.monitor.jobs.get(there.id).status == "pending"


def test_an_exit_ends_the_caller_though_the_database_went_away_with_it(
    shop: ModuleType, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any, **__: Any) -> Any:
        monkeypatch.setattr(shop.monitor.database, "rows", gone)
        raise SystemExit(3)

    def gone(*_: Any) -> Any:
        raise DatabaseUnavailable("here", OSError("gone"))

    monkeypatch.setattr(shop.monitor.dispatch, "publish", leave)
    with pytest.raises(SystemExit) as ended:
        shop.monitor.submit_many([shop.add.s(1, 1)])
    assert isinstance(ended.value.__context__, DatabaseUnavailable)


def test_two_that_submit_the_same_ids_do_not_wait_in_a_circle(shop: ModuleType) -> None:
    jobs = [new_job(f"same-{number}") for number in range(400)]
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(shop.monitor.store.create_many, [jobs, jobs[::-1]]))
    assert len(made[0]) + len(made[1]) == 400


@contextmanager
def _broker_gone(shop: ModuleType) -> Iterator[None]:
    """Let this process reach the broker no more."""
    app = shop.app
    url, policy = app.conf.broker_url, app.conf.task_publish_retry
    app.conf.broker_url, app.conf.task_publish_retry = "redis://127.0.0.1:1/0", False
    app.conf.broker_write_url = "redis://127.0.0.1:1/0"
    app._pool = None
    app.amqp._producer_pool = None
    try:
        yield
    finally:
        app.conf.broker_url = app.conf.broker_write_url = url
        app.conf.task_publish_retry = policy
        app._pool = None
        app.amqp._producer_pool = None


def test_a_batch_that_cannot_be_published_is_taken_back(
    shop: ModuleType, queue: Callable[[], int], verbs: list[str]
) -> None:
    signatures = [shop.add.s(number, 1).set(task_id=f"gone-{number}") for number in range(3)]
    with _broker_gone(shop), pytest.raises(OperationalError):
        shop.monitor.submit_many(signatures)
    assert shop.monitor.jobs.some([f"gone-{number}" for number in range(3)]) == []
    assert verbs == ["create_many", "take_back"]
    shop.monitor.submit_many(signatures)
    assert queue() == 3


# -- with a worker: it runs from here on ---------------------------------------------------


def test_a_chord_of_many_ends_with_its_body(
    shop: ModuleType, worker: Worker, queue: Callable[[], int]
) -> None:
    result = chord((shop.add.s(number, 0) for number in range(120)), shop.total.s())()
    assert result.get(timeout=30) == sum(range(120))


def test_an_exit_ends_the_caller_though_workers_have_its_jobs(
    shop: ModuleType, worker: Worker, queue: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, flush = [f"bulk-late-exit-{n}" for n in range(3)], PublishBatch.flush

    def leave_late(batch: PublishBatch) -> None:
        flush(batch)
        for job_id in ids:
            shop.monitor.jobs.wait_for(job_id, "finished", timeout=30)
        raise KeyboardInterrupt

    monkeypatch.setattr(PublishBatch, "flush", leave_late)
    with pytest.raises(KeyboardInterrupt):
        shop.monitor.submit_many(shop.add.s(1, 1).set(task_id=job_id) for job_id in ids)
    assert {job.status for job in shop.monitor.jobs.some(ids)} == {"finished"}


def test_children_in_bulk_belong_to_the_job_that_submits_them(
    shop: ModuleType, worker: Worker, queue: Callable[[], int]
) -> None:
    with shop.monitor.acting("alice"):
        result = shop.submit_in_bulk.delay(1_200)
    root = eventually(lambda: _all_done(shop, result.id, 1_200), within=60)
    assert (root.children.total, root.children.with_errors) == (1_200, 0)
    child = shop.monitor.jobs.tree(result.id, limit=5)[3].job
    assert (child.parent_id, child.root_id, child.run_by) == (result.id, result.id, "alice")


def _all_done(shop: ModuleType, job_id: str, children: int) -> Any:
    job = shop.monitor.jobs.get(job_id)
    return job if job.status == "finished" and job.children.finished == children else None


def test_children_below_a_hold_are_born_stopped(
    shop: ModuleType, worker: Worker, queue: Callable[[], int], tmp_path: Any
) -> None:
    marker = tmp_path / "go"
    result = shop.submit_in_bulk.delay(5, str(marker))
    shop.monitor.jobs.wait_for(result.id, "running")
    shop.monitor.jobs.stop(result.id)
    marker.touch()
    root = shop.monitor.jobs.wait_for(result.id, "finished", timeout=30)
    assert root.children.total == 5
    children = [node.job.status for node in shop.monitor.jobs.tree(result.id)[1:]]
    assert children == ["stopped"] * 5
