"""What a job logs, prints and warns is in its log, from real workers."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from tests.waiting import eventually
from tests.workers import Worker

Said = list[tuple[str, str, str]]


def said(shop: ModuleType, job_id: str) -> Said:
    """The lines of a job: logger, level, message."""
    page = shop.monitor.jobs.logs(job_id, newest_first=False, limit=1_000)
    return [(line.logger, line.level_name, line.message) for line in page.lines]


def messages(shop: ModuleType, job_id: str) -> list[str]:
    return [message for _, _, message in said(shop, job_id)]


def everything(word: str) -> Said:
    """What `say_everything` says in every pool, but its warning."""
    return [
        ("shop.stock", "WARNING", f"logged {word}"),
        ("shop.task", "INFO", f"task logged {word}"),
        (f"library{word}", "WARNING", f"library logged {word}"),
        ("stdout", "INFO", f"printed {word}"),
        ("stderr", "WARNING", f"on stderr {word}"),
    ]


# -- what is in it -------------------------------------------------------------------------


def test_what_a_job_logs_prints_and_warns_is_in_its_log(
    shop: ModuleType, worker: Worker
) -> None:
    for word in ("one", "two"):
        job = shop.monitor.jobs.wait_for(shop.say_everything.delay(word).id)
        *first, warned, thread, half = said(shop, job.id)
        assert first == everything(word)
        assert thread == ("stdout", "INFO", f"thread printed {word}")
        assert half == ("stdout", "INFO", f"half {word}")
        assert warned[:2] == ("py.warnings", "WARNING")
        assert "UserWarning: an old way" in warned[2]
        assert job.has_errors is False


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_it_is_the_same_in_other_pools(
    shop: ModuleType, start_worker: Callable[..., Worker], pool: str
) -> None:
    shop.app.control.purge()
    start_worker(options=(f"--pool={pool}", "-Q", pool))
    for word in ("one", "two"):
        result = shop.say_everything.apply_async((f"{pool} {word}",), queue=pool)
        shop.monitor.jobs.wait_for(result.id)
        assert said(shop, result.id)[:5] == everything(f"{pool} {word}")


def test_an_app_that_configures_logging_itself_has_it_too(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> None:
    start_worker({"OWN_LOGGING": "1"}, options=("-Q", "own"))
    result = shop.say_everything.apply_async(("own",), queue="own")
    shop.monitor.jobs.wait_for(result.id)
    assert said(shop, result.id)[:5] == everything("own")


def test_a_warning_that_python_makes_an_error_is_one(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> None:
    start_worker({"PYTHONWARNINGS": "error:an old way"}, options=("-Q", "strict"))
    for word in ("one", "two"):
        result = shop.say_everything.apply_async((word,), queue="strict")
        assert shop.monitor.jobs.wait_for(result.id).error == "UserWarning: an old way"


def test_an_error_that_is_logged_marks_a_job_that_returns(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    result = shop.log_until.delay(str(marker), logging.ERROR)
    job = shop.monitor.jobs.wait_for(result.id)
    assert (job.has_errors, job.error, job.result) == (True, None, "done")
    assert said(shop, job.id) == [("shop", "ERROR", "before"), ("shop", "ERROR", "after")]


def test_an_error_noted_by_the_job_is_one_line_and_does_not_end_it(
    shop: ModuleType, worker: Worker
) -> None:
    job = shop.monitor.jobs.wait_for(shop.note_error.delay(3).id)
    assert (job.has_errors, job.error) == (True, None)
    assert said(shop, job.id) == [
        ("jobmonitor.job", "ERROR", f"a bad row (row={number})") for number in range(3)
    ]
    assert [event["event"] for event in shop.monitor.jobs.events(job.id)] == []


def test_what_a_job_raises_is_one_line_with_its_traceback(
    shop: ModuleType, worker: Worker
) -> None:
    job = shop.monitor.jobs.wait_for(shop.fail.delay("out of paper").id)
    [(logger, level, message)] = said(shop, job.id)
    assert (logger, level) == ("jobmonitor.job", "ERROR")
    assert message == job.traceback
    assert message.rstrip().endswith("ValueError: out of paper")


def test_a_job_without_a_word_has_no_line(shop: ModuleType, worker: Worker) -> None:
    job = shop.monitor.jobs.wait_for(shop.add.delay(1, 2).id)
    assert said(shop, job.id) == []
    assert shop.monitor.jobs.last_line_id(job.id) is None


def test_what_celerys_tail_calls_is_in_the_log_and_marks_the_job(
    shop: ModuleType, worker: Worker
) -> None:
    job = shop.monitor.jobs.wait_for(shop.log_afterwards.delay().id)
    eventually(lambda: messages(shop, job.id) == ["in the tail"])
    eventually(lambda: shop.monitor.jobs.get(job.id).has_errors)


def test_lines_over_the_cap_are_counted(shop: ModuleType, worker: Worker) -> None:
    job = shop.monitor.jobs.wait_for(shop.log_many.delay(20_000).id, timeout=60)
    with shop.monitor.database.connection() as connection:
        counted = connection.execute(
            "SELECT count(*) FROM job_log WHERE job_id = %s", (job.id,)
        ).fetchone()
    assert counted == (10_001,)
    last, before = shop.monitor.jobs.logs(job.id, limit=2).lines
    assert last.message == "10,000 more lines were not kept (setting log_lines_max)"
    assert before.message == "line 9999"


# -- when it is there ----------------------------------------------------------------------


def test_a_line_can_be_read_while_the_job_still_runs(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    result = shop.log_until.delay(str(marker))
    shop.monitor.jobs.wait_for(result.id, "running")
    eventually(lambda: messages(shop, result.id) == ["before"], within=5)
    assert shop.monitor.jobs.get(result.id).status == "running"
    marker.touch()
    shop.monitor.jobs.wait_for(result.id)
    assert messages(shop, result.id) == ["before", "after"]


def test_a_process_that_is_killed_leaves_what_was_written(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    result = shop.log_until.delay(str(marker))
    eventually(lambda: _lines(shop, result.id) == 1)
    os.kill(_pid(shop, result.id), signal.SIGKILL)
    eventually(lambda: _lines(shop, result.id) == 2, within=30)
    marker.touch()
    shop.monitor.jobs.wait_for(result.id)
    lines = shop.monitor.jobs.logs(result.id, newest_first=False).lines
    assert [(line.attempt, line.message) for line in lines] == [
        (1, "before"), (2, "before"), (2, "after"),
    ]  # fmt: skip


def test_a_job_that_was_stopped_and_resumed_has_the_lines_of_both_attempts(
    shop: ModuleType, worker: Worker, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    result = shop.log_until.delay(str(marker))
    shop.monitor.jobs.wait_for(result.id, "running")
    shop.monitor.jobs.stop(result.id)
    shop.monitor.jobs.wait_for(result.id, "stopped")
    assert messages(shop, result.id) == ["before"]
    marker.touch()
    shop.monitor.jobs.resume(result.id)
    shop.monitor.jobs.wait_for(result.id)
    lines = shop.monitor.jobs.logs(result.id, newest_first=False).lines
    assert [(line.attempt, line.message) for line in lines] == [
        (1, "before"), (2, "before"), (2, "after"),
    ]  # fmt: skip


def test_a_retry_goes_on_in_the_same_log(shop: ModuleType, worker: Worker) -> None:
    job = shop.monitor.jobs.wait_for(shop.log_and_retry.delay().id)
    assert said(shop, job.id) == [
        ("shop", "WARNING", "attempt 1"), ("shop", "WARNING", "attempt 2"),
    ]  # fmt: skip
    assert job.has_errors is False


def test_a_hard_time_limit_is_the_last_line(shop: ModuleType, worker: Worker) -> None:
    job = shop.monitor.jobs.wait_for(shop.log_and_hang.delay().id, timeout=20)
    assert said(shop, job.id) == [
        ("shop", "WARNING", "this was logged"),
        ("jobmonitor.job", "ERROR", "TimeLimitExceeded: hard time limit of 2 s"),
    ]  # fmt: skip


def test_a_worker_makes_the_days_that_come(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> None:
    day = f"job_log_{datetime.now(UTC) + timedelta(days=7):%Y%m%d}"
    with shop.monitor.database.connection() as connection:
        connection.execute(f"DROP TABLE {day}".encode())
        start_worker(options=("-Q", "days"))
        exists = "SELECT to_regclass(%s) IS NOT NULL"
        eventually(lambda: connection.execute(exists, (day,)).fetchone() == (True,), within=20)


def _lines(shop: ModuleType, job_id: str) -> int:
    return len(messages(shop, job_id))


def _pid(shop: ModuleType, job_id: str) -> int:
    pid = shop.monitor.jobs.get(job_id).worker_pid
    assert pid is not None
    return int(pid)
