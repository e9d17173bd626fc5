"""The days of `job_log`: one partition each, and no line is ever refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobmonitor.records.logs import Logs
from tests.factories import Records
from tests.records.test_logs import log

FAR = "clock_timestamp() + interval '20 days'"


@pytest.fixture(autouse=True)
def only_the_days_of_the_migration(records: Records) -> Iterator[None]:
    before = partitions(records)
    yield
    for name in partitions(records) - before:
        records.sql(f"DROP TABLE {name}")


def partitions(records: Records) -> set[str]:
    rows = records.sql(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'job_log'::regclass"
    )
    return {row[0] for row in rows}


def day(ahead: int) -> str:
    return f"job_log_{datetime.now(UTC) + timedelta(days=ahead):%Y%m%d}"


def make_days(records: Records, ahead: int) -> int:
    made: int = records.database.row("prepare_days", {"ahead": ahead}).made
    return made


def where(records: Records, job_id: str) -> list[str]:
    rows = records.sql(
        "SELECT tableoid::regclass::text FROM job_log WHERE job_id = %s ORDER BY id", job_id
    )
    return [row[0] for row in rows]


def test_the_migration_makes_today_and_a_week(records: Records) -> None:
    assert {day(ahead) for ahead in range(8)} <= partitions(records)
    assert "job_log_default" in partitions(records)


def test_days_are_made_once(records: Records) -> None:
    assert make_days(records, 7) == 0
    assert make_days(records, 9) == 2
    assert make_days(records, 9) == 0
    assert {day(8), day(9)} <= partitions(records)


def test_many_may_make_them_at_once_while_lines_are_written(records: Records) -> None:
    job = records.make_running()
    made: list[int] = []
    threads = [
        threading.Thread(target=lambda: made.append(make_days(records, 12))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for number in range(20):
        log(records, job, f"line {number}")
    for thread in threads:
        thread.join()
    assert sum(made) == 5
    assert len(where(records, job)) == 20


def test_a_line_of_today_is_in_todays_partition(records: Records) -> None:
    job = records.make_running()
    log(records, job, "a")
    assert where(records, job)[0] in {day(0), day(-1)}


def test_a_line_without_a_day_is_kept_and_its_day_stays_where_it_is(records: Records) -> None:
    job = records.make_running()
    records.sql(
        "INSERT INTO job_log (job_id, run, attempt, at, level, logger, message) "
        f"VALUES (%s, 1, 1, {FAR}, 20, 'shop', 'far away')", job,
    )  # fmt: skip
    assert where(records, job) == ["job_log_default"]
    assert make_days(records, 22) == 14
    assert day(20) not in partitions(records)
    assert {day(19), day(21)} <= partitions(records)
    assert where(records, job) == ["job_log_default"]


def test_only_the_days_of_a_jobs_life_are_read(records: Records) -> None:
    job = records.make_running()
    log(records, job, "a")
    records.sql(
        "INSERT INTO job_log (job_id, run, attempt, at, level, logger, message) "
        f"SELECT %s, 1, 1, at, 20, 'shop', 'not in its life' FROM unnest(ARRAY[{FAR}, "
        "clock_timestamp() - interval '30 days']) AS at", job,
    )  # fmt: skip
    logs = Logs(records.database)
    assert [line.message for line in logs.page(job).lines] == ["a"]
    assert logs.last_line_id(job) == logs.page(job).lines[0].id
    records.finish(job)
    records.let_pass(3 * 86_400, job)
    assert logs.page(job).lines == []


def test_a_reader_of_the_default_partition_only_delays_the_days(records: Records) -> None:
    with records.database.transaction() as connection:
        connection.execute("SELECT count(*) FROM job_log_default")
        assert make_days(records, 8) == 0
    assert make_days(records, 8) == 1
