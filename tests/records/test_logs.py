"""The log of a job in Postgres: appended in order and fenced, read in pages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobmonitor.errors import JobNotFound, QueryRefused
from jobmonitor.records.logs import LogLine, Logs, NewLine
from tests.factories import Records


@pytest.fixture
def logs(records: Records) -> Logs:
    return Logs(records.database)


def log(records: Records, job_id: str, *messages: str, **facts: Any) -> None:
    """Append lines as the current attempt of a job."""
    now = time.monotonic()
    values = {"run": 1, "attempt": records.row(job_id).attempt, "made": now, "level": 20}
    values |= {"logger": "shop"} | facts
    lines = [NewLine(job_id, message=message, **values) for message in messages]
    Logs(records.database).append(lines, now)


def messages(lines: list[LogLine]) -> list[str]:
    return [line.message for line in lines]


# -- append --------------------------------------------------------------------------------


def test_lines_keep_the_order_in_which_they_were_logged(records: Records, logs: Logs) -> None:
    job = records.make_running()
    said = [f"line {number}" for number in range(1_000)]
    log(records, job, *said[:500])
    log(records, job, *said[500:])
    assert messages(logs.page(job, newest_first=False, limit=1_000).lines) == said
    assert messages(logs.page(job, limit=1_000).lines) == said[::-1]


def test_the_time_of_a_line_is_when_it_was_made(records: Records, logs: Logs) -> None:
    job = records.make_running()
    log(records, job, "early", made=time.monotonic() - 600)
    log(records, job, "late")
    early, late = logs.page(job, newest_first=False).lines
    assert 599 < (late.at - early.at).total_seconds() < 660


def test_lines_of_an_attempt_that_was_fenced_out_are_not_kept(
    records: Records, logs: Logs
) -> None:
    job, other = records.make_running(), records.make_running()
    records.silence("w1")
    assert records.claim(job, worker="w2").attempt == 2
    log(records, job, "too late", attempt=1)
    log(records, job, "in time", attempt=2)
    log(records, other, "of another job")
    [line] = logs.page(job).lines
    assert (line.message, line.attempt, line.run) == ("in time", 2, 1)


def test_lines_of_a_finished_attempt_are_kept(records: Records, logs: Logs) -> None:
    job = records.make_running()
    records.finish(job)
    log(records, job, "in the tail")
    assert messages(logs.page(job).lines) == ["in the tail"]


def test_one_statement_takes_the_lines_of_many_jobs(records: Records, logs: Logs) -> None:
    jobs = [records.make_running() for _ in range(3)]
    now = time.monotonic()
    logs.append([NewLine(job, 1, 1, now, 20, "shop", job) for job in jobs * 2], now)
    assert [messages(logs.page(job).lines) for job in jobs] == [[job, job] for job in jobs]


# -- ends that the attempt itself cannot log -------------------------------------------------


def test_an_end_that_others_wrote_is_a_line_of_the_log(records: Records, logs: Logs) -> None:
    limited, lost, claimed = (records.make_running() for _ in range(3))
    records.store.end_by_main(limited, worker="w1", pid=7, reason="a hard time limit")
    records.lose(lost, rerun=False)
    records.silence("w1")
    assert records.claim(claimed, worker="w2", rerun=False).verdict == "lost"
    for job in (limited, lost, claimed):
        [line] = logs.page(job).lines
        assert (line.level_name, line.logger) == ("ERROR", "jobmonitor.job")
        assert line.message == records.row(job).error
        assert line.attempt == records.row(job).attempt


def test_a_job_that_runs_again_has_no_line_of_that(records: Records, logs: Logs) -> None:
    job = records.make_running()
    assert records.lose(job).outcome == "again"
    assert logs.page(job).lines == []


def test_an_error_in_the_tail_of_a_finished_job_counts(records: Records) -> None:
    root = records.make_running()
    child = records.make_running(under=root)
    records.store.taint(child, 1)
    assert records.view(root).children.with_errors == 0
    records.finish(child)
    for _ in range(2):
        records.store.taint(child, 1)
    records.store.taint(child, 2)
    assert records.row(child).has_errors
    assert records.view(root).children.with_errors == 1


# -- read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("newest_first", [True, False])
def test_pages_cover_the_log_once(records: Records, logs: Logs, newest_first: bool) -> None:
    job = records.make_running()
    log(records, job, *"abcdefg")
    found, cursor = [], None
    for size in (3, 3, 1):
        page = logs.page(job, cursor=cursor, limit=3, newest_first=newest_first)
        assert len(page.lines) == size
        found += messages(page.lines)
        cursor = page.cursor
    assert cursor is None
    assert "".join(found) == ("gfedcba" if newest_first else "abcdefg")


def test_the_id_of_a_line_is_the_cursor_behind_it(records: Records, logs: Logs) -> None:
    job = records.make_running()
    assert logs.last_line_id(job) is None
    log(records, job, "a", "b")
    last = logs.last_line_id(job)
    log(records, job, "c")
    assert messages(logs.page(job, cursor=str(last), newest_first=False).lines) == ["c"]
    assert messages(logs.page(job, cursor=str(last)).lines) == ["a"]


def test_lines_are_found_by_their_least_level(records: Records, logs: Logs) -> None:
    job = records.make_running()
    for level in (5, 10, 20, 25, 30, 40, 50):
        log(records, job, str(level), level=level)
    for level, found in (("info", 5), ("WARN", 3), (25, 4), ("25", 4), (0, 7), ("FATAL", 1)):
        assert len(logs.page(job, level=level).lines) == found, level
    names = [line.level_name for line in logs.page(job, newest_first=False).lines]
    assert names == ["Level 5", "DEBUG", "INFO", "Level 25", "WARNING", "ERROR", "CRITICAL"]


def test_lines_are_found_by_a_text_as_it_stands(records: Records, logs: Logs) -> None:
    job = records.make_running()
    log(records, job, "100 % of Straße", "100 of many", "a_b", "axb")
    assert messages(logs.page(job, q="100 %").lines) == ["100 % of Straße"]
    assert messages(logs.page(job, q="STRASSE").lines) == []
    assert messages(logs.page(job, q="straß").lines) == ["100 % of Straße"]
    assert messages(logs.page(job, q="A_B").lines) == ["a_b"]
    assert logs.page(job, q="nothing\0").lines == []


@pytest.mark.parametrize(
    "filters",
    [{"level": "loud"}, {"level": -1}, {"level": 99_999}, {"level": ""}, {"level": "²"},
     {"limit": 0}, {"limit": 1_001}, {"cursor": ""}, {"cursor": "x"}, {"cursor": "-1"},
     {"cursor": "1" * 30}],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    records: Records, logs: Logs, filters: dict[str, Any]
) -> None:
    with pytest.raises(QueryRefused):
        logs.page(records.make(), **filters)


def test_a_cursor_behind_everything_is_the_end(records: Records, logs: Logs) -> None:
    job = records.make_running()
    log(records, job, "a")
    assert logs.page(job, cursor="9" * 19, newest_first=False).lines == []


def test_a_job_that_is_not_there_has_no_log(records: Records, logs: Logs) -> None:
    with pytest.raises(JobNotFound):
        logs.page("nobody")
    assert logs.last_line_id("nobody\0") is None


def test_the_lines_of_earlier_runs_stay(records: Records, logs: Logs) -> None:
    job = records.make_running(restartable=True)
    log(records, job, "first run")
    records.finish(job)
    assert records.operate("restart", job).changed
    assert records.claim(job).verdict == "run"
    log(records, job, "second run", run=2)
    assert [line.run for line in logs.page(job).lines] == [2, 1]


def test_an_error_line_sets_the_flag_of_a_job_that_runs(records: Records) -> None:
    job, other = records.make_running(), records.make_running()
    log(records, job, "careful", level=30)
    assert not records.row(job).has_errors
    log(records, job, "no", level=40)
    assert (records.row(job).has_errors, records.row(other).has_errors) == (True, False)
    records.lose(job)
    assert records.row(job).has_errors
