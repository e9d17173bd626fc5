"""What is recorded of a job, and what happens to it without a person, on real workers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import psycopg
import pytest
from celery import Celery, chain, chord, group

from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]


def test_a_finished_job_has_its_times_arguments_and_result(
    shop: ModuleType, worker: Worker
) -> None:
    with shop.monitor.acting("alice"):
        result = shop.add.apply_async((1, 2), label="One and two")
    job = shop.monitor.jobs.wait_for(result.id)
    assert (job.label, job.type, job.run_by) == ("One and two", shop.add.name, "alice")
    assert (job.args, job.result, job.attempt, job.has_errors) == ([1, 2], 3, 1, False)
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.worker.startswith(worker.name)
    assert result.get(timeout=5) == 3


def test_a_job_that_raises_is_finished_with_its_error(shop: ModuleType, worker: Worker) -> None:
    result = shop.fail.delay("out of paper")
    job = shop.monitor.jobs.wait_for(result.id)
    assert (job.has_errors, job.error) == (True, "ValueError: out of paper")
    assert "in fail" in job.traceback
    assert eventually(lambda: result.state == "FAILURE")


def test_a_retry_keeps_the_row_and_its_attempts_never_overlap(
    shop: ModuleType, worker: Worker, trace: Trace
) -> None:
    result = shop.flaky.delay(2)
    job = shop.monitor.jobs.wait_for(result.id, timeout=15)
    assert (job.retries, job.attempt, job.has_errors, job.parent_id) == (2, 3, False, None)
    assert trace() == ["flaky 0", "flaky 1", "flaky 2"]
    assert result.get(timeout=5) == 2


def test_a_retry_waits_visibly(shop: ModuleType, worker: Worker) -> None:
    result = shop.flaky.delay(1, 60)
    eventually(lambda: shop.monitor.jobs.get(result.id).pending_because == "retry")
    job = shop.monitor.jobs.get(result.id)
    assert (job.status, job.retries, job.waiting_seconds < 5) == ("pending", 1, True)
    shop.monitor.jobs.stop(job.id)
    shop.monitor.jobs.cancel(job.id)


def test_autoretry_gives_up_with_the_error(shop: ModuleType, worker: Worker) -> None:
    job = shop.monitor.jobs.wait_for(shop.autoretried.delay().id)
    assert (job.retries, job.error) == (1, "ValueError: always")


@pytest.mark.parametrize(
    ("how", "errors"), [("exit", True), ("ignore", False), ("reject", True), ("requeue", False)]
)
def test_the_ways_to_leave_a_task(
    shop: ModuleType, worker: Worker, trace: Trace, how: str, errors: bool
) -> None:
    job = shop.monitor.jobs.wait_for(shop.leave.delay(how).id)
    assert job.has_errors is errors
    assert job.lost == 0
    assert job.retries == (1 if how == "requeue" else 0)


def test_children_know_their_parent_and_root(shop: ModuleType, worker: Worker) -> None:
    with shop.monitor.acting("bob"):
        top = shop.grandparent.delay()
    eventually(lambda: shop.monitor.jobs.get(top.id).descendants.finished == 4)
    nodes = shop.monitor.jobs.tree(top.id)
    assert [node.depth for node in nodes] == [0, 1, 2, 2, 1]
    assert {node.job.root_id for node in nodes} == {top.id}
    assert {node.job.run_by for node in nodes} == {"bob"}
    job = shop.monitor.jobs.get(top.id)
    assert (job.children.total, job.descendants.total) == (2, 4)


def test_a_chain_is_one_tree_and_its_steps_are_children_of_the_first(
    shop: ModuleType, worker: Worker
) -> None:
    result = chain(shop.add.s(1, 1), shop.add.s(2), shop.add.s(3)).delay()
    assert result.get(timeout=10) == 7
    last = shop.monitor.jobs.get(result.id)
    first = shop.monitor.jobs.get(last.root_id)
    assert last.parent_id == first.id
    eventually(lambda: shop.monitor.jobs.get(first.id).children.finished == 2)


def test_a_chord_from_outside_is_one_root(shop: ModuleType, worker: Worker) -> None:
    result = chord(group(shop.add.s(1, 1), shop.add.s(2, 2)))(shop.total.s())
    assert result.get(timeout=10) == 6
    body = shop.monitor.jobs.get(result.id)
    top = shop.monitor.jobs.get(body.root_id)
    assert (top.type, body.parent_id) == ("group", top.id)
    eventually(lambda: shop.monitor.jobs.get(top.id).status == "finished")
    assert shop.monitor.jobs.get(top.id).children.total == 3


@pytest.mark.parametrize(("by", "value"), [("task", 42), ("group", [6])])
def test_a_replaced_job_keeps_its_row(
    shop: ModuleType, worker: Worker, by: str, value: object
) -> None:
    result = shop.replaced.delay(by)
    job = shop.monitor.jobs.wait_for(result.id, timeout=15)
    assert result.get(timeout=5) in (value, 6)
    assert (job.has_errors, job.attempt) == (False, 2)


def test_a_link_and_an_errback_are_children(
    shop: ModuleType, worker: Worker, trace: Trace
) -> None:
    good = shop.add.apply_async((1, 1), link=shop.add.s(5))
    bad = shop.fail.apply_async(link_error=shop.on_error.s())
    eventually(lambda: shop.monitor.jobs.get(good.id).children.finished == 1)
    eventually(lambda: shop.monitor.jobs.get(bad.id).children.finished == 1)
    assert trace() == ["errback"]


def test_mapped_tasks_are_one_job(shop: ModuleType, worker: Worker) -> None:
    result = shop.add.starmap([(1, 1), (2, 2)]).delay()
    assert result.get(timeout=10) == [2, 4]
    job = shop.monitor.jobs.wait_for(result.id)
    assert (job.type, job.label) == ("celery.starmap", f"{shop.add.name} over 2 items")


def test_the_id_of_a_final_job_is_a_new_run_and_of_another_refused(
    shop: ModuleType, worker: Worker
) -> None:
    from jobmonitor.errors import JobExists

    shop.monitor.jobs.wait_for(shop.add.apply_async((1, 1), task_id="sum-of-today").id)
    shop.add.apply_async((5, 5), task_id="sum-of-today")
    eventually(lambda: shop.monitor.jobs.get("sum-of-today").result == 10)
    assert shop.monitor.jobs.get("sum-of-today").run == 2
    shop.add.apply_async((1, 1), task_id="later", countdown=60)
    with pytest.raises(JobExists, match="job later exists already and is Pending"):
        shop.add.apply_async((1, 1), task_id="later")
    shop.monitor.jobs.stop("later")


def test_a_producer_that_knows_nothing_of_us_gets_a_row(
    shop: ModuleType, worker: Worker, environment: dict[str, str]
) -> None:
    code = (
        "from celery import Celery;"
        f"app = Celery(broker={environment['BROKER_URL']!r});"
        f"app.send_task({shop.add.name!r}, (3, 4), task_id='foreign',"
        "headers={'jobmonitor': {'run_by': 'legacy', 'label': 'From afar'}})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    eventually(lambda: shop.monitor.jobs.find(run_by="legacy").jobs)
    job = shop.monitor.jobs.wait_for("foreign")
    assert (job.result, job.run_by, job.label) == (7, "legacy", "From afar")


def test_a_submission_that_cannot_be_published_leaves_no_row(
    shop: ModuleType, environment: dict[str, str]
) -> None:
    from jobmonitor import JobMonitor

    app = Celery("nowhere", broker="redis://127.0.0.1:1/0")
    app.conf.update(broker_transport_options={"max_retries": 0}, task_publish_retry=False)
    monitor = JobMonitor(app)
    before = [job.id for job in shop.monitor.jobs.find().jobs]
    with pytest.raises(Exception, match=r"refused|Error 111"):
        app.send_task(shop.add.name, (1, 1))
    assert [job.id for job in monitor.jobs.find().jobs] == before


def test_an_expired_and_a_revoked_job_are_canceled(shop: ModuleType, worker: Worker) -> None:
    expired = shop.add.apply_async((1, 1), countdown=1, expires=0.1)
    revoked = shop.add.apply_async((1, 1), countdown=2)
    revoked.revoke()
    for result, reason in ((expired, "expired"), (revoked, "revoked")):
        job = shop.monitor.jobs.wait_for(result.id, "canceled", timeout=10)
        assert shop.monitor.jobs.events(job.id)[-1]["reason"] == reason


def test_a_running_job_that_celery_terminates_is_canceled(
    shop: ModuleType, worker: Worker
) -> None:
    result = shop.hang.delay()
    shop.monitor.jobs.wait_for(result.id, "running")
    inspect = shop.app.control.inspect
    eventually(lambda: result.id in str(inspect(limit=1).active()))
    result.revoke(terminate=True, signal="SIGKILL")
    assert shop.monitor.jobs.wait_for(result.id, "canceled", timeout=10).attempt == 1


def test_a_hard_time_limit_is_an_end_and_never_a_loss(shop: ModuleType, worker: Worker) -> None:
    result = shop.too_long.delay()
    job = shop.monitor.jobs.wait_for(result.id, timeout=10)
    assert (job.has_errors, job.lost, job.attempt) == (True, 0, 1)
    assert job.error == "TimeLimitExceeded: hard time limit of 1 s"
    eventually(lambda: result.state == "FAILURE")


def test_a_soft_time_limit_never_breaks_a_statement(shop: ModuleType, worker: Worker) -> None:
    result = shop.busy_writer.delay()
    job = shop.monitor.jobs.wait_for(result.id, timeout=10)
    assert job.error.startswith("SoftTimeLimitExceeded")
    assert "another command is already in progress" not in worker.log


def test_a_secret_is_nowhere_once_the_job_has_ended(
    shop: ModuleType, worker: Worker, environment: dict[str, str]
) -> None:
    secret = "hunter2-hunter2"
    by_position, by_name = (
        shop.login.delay("eve", secret),
        shop.login.delay("eve", password=secret),
    )
    logged = shop.monitor.jobs.wait_for(shop.log_secret.delay(secret).id)
    lines = shop.monitor.jobs.logs(logged.id, newest_first=False).lines
    assert [line.message.count("[redacted]") for line in lines] == [1, 1, 1, 1]
    for result in (by_position, by_name):
        job = shop.monitor.jobs.wait_for(result.id)
        assert job.error == "PermissionError: eve may not use [redacted]"
        assert secret not in str(job.as_json())
    address = environment["JOBMONITOR_DATABASE_URL"].replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f'SELECT "{table}"::text FROM "{table}"').fetchall()
            assert secret not in str(rows), table
