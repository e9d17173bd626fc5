"""Creations and waiting times over time, against rows that are counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from jobmonitor.errors import QueryRefused
from jobmonitor.records.database import Database
from jobmonitor.records.statistics import Statistics, read_statistics, shown_width
from tests.factories import Records

NOON = datetime(2024, 3, 6, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Line = tuple[str, int, int, float | None, float | None, float | None]


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def read(records: Records, **filters: Any) -> Statistics:
    """The hour from noon on in quarters, unless the test says otherwise."""
    asked = {"since": NOON, "until": NOON + HOUR, "width": 900} | filters
    return read_statistics(records.database, **asked)


def lines(found: Statistics) -> list[Line]:
    """Each bucket as (start, creations, starts, average, minimum, maximum)."""
    return [
        (
            bucket.start.strftime("%H:%M"), bucket.creations, bucket.starts,
            bucket.average_waiting_seconds, bucket.minimum_waiting_seconds,
            bucket.maximum_waiting_seconds,
        )
        for bucket in found.buckets
    ]  # fmt: skip


def counted(found: Statistics) -> tuple[int, int]:
    """The creations and starts of the whole range."""
    return found.total.creations, found.total.starts


def test_a_creation_counts_when_it_happened_and_a_wait_when_it_ended(records: Records) -> None:
    records.make_at(at(1), starts=at(2), wait=60)
    records.make_at(at(14), starts=at(16), wait=120)
    records.make_at(at(20), starts=at(24), wait=240)
    records.make_at(at(40))
    found = read(records)
    assert lines(found) == [
        ("12:00", 2, 1, 60, 60, 60),
        ("12:15", 1, 2, 180, 120, 240),
        ("12:30", 1, 0, None, None, None),
        ("12:45", 0, 0, None, None, None),
    ]
    assert (found.since, found.until, found.width_seconds) == (NOON, NOON + HOUR, 900)


def test_the_average_of_a_range_is_weighted_by_its_waits(records: Records) -> None:
    for _ in range(3):
        records.make_at(at(0), starts=at(1), wait=10)
    records.make_at(at(30), starts=at(31), wait=50)
    total = read(records).total
    assert (total.creations, total.starts, total.average_waiting_seconds) == (4, 4, 20)
    assert (total.minimum_waiting_seconds, total.maximum_waiting_seconds) == (10, 50)


def test_a_range_and_a_bucket_hold_their_start_and_not_their_end(records: Records) -> None:
    records.make_at(at(0), starts=at(15), wait=900)
    records.make_at(at(15), starts=at(60), wait=2_700)
    records.make_at(at(60))
    records.make_at(at(-1), starts=at(0), wait=60)
    found = read(records)
    assert [line[:3] for line in lines(found)] == [
        ("12:00", 1, 1), ("12:15", 1, 1), ("12:30", 0, 0), ("12:45", 0, 0),
    ]  # fmt: skip
    assert counted(found) == (2, 2)


def test_buckets_are_aligned_and_the_range_cuts_the_outer_ones(records: Records) -> None:
    records.make_at(at(16))
    records.make_at(at(20))
    records.make_at(at(46))
    records.make_at(at(50))
    found = read(records, since=at(18), until=at(48))
    assert [line[:2] for line in lines(found)] == [("12:15", 1), ("12:30", 0), ("12:45", 1)]
    assert found.total.creations == 2


def test_a_range_may_begin_with_its_first_bucket(records: Records) -> None:
    records.make_at(at(14))
    records.make_at(at(16))
    found = read(records, since=at(18), until=at(48), whole=True)
    assert (found.since, found.until) == (at(15), at(48))
    assert [line[:2] for line in lines(found)] == [("12:15", 1), ("12:30", 0), ("12:45", 0)]


def test_a_bucket_of_a_day_begins_at_midnight_utc_and_one_of_a_week_on_monday(
    records: Records,
) -> None:
    elsewhere = {"options": "-c timezone=Asia/Kathmandu"}
    url = make_url(records.database.url).update_query_dict(elsewhere)
    database = Database(url.render_as_string(hide_password=False))
    records.make_at(NOON)
    until = NOON + HOUR
    days = read_statistics(database, since=NOON - 2 * DAY, until=until, width=86_400)
    weeks = read_statistics(database, since=NOON, until=until, width=7 * 86_400)
    database.close()
    assert [bucket.start.isoformat()[:16] for bucket in days.buckets] == [
        "2024-03-04T00:00", "2024-03-05T00:00", "2024-03-06T00:00",
    ]  # fmt: skip
    assert [bucket.creations for bucket in days.buckets] == [0, 0, 1]
    assert [(week.start.isoformat()[:16], week.creations) for week in weeks.buckets] == [
        ("2024-03-04T00:00", 1)
    ]


def test_moments_may_be_given_in_any_zone(records: Records) -> None:
    records.make_at(at(1))
    there = datetime.fromisoformat("2024-03-06T17:45:00+05:45")
    found = read(records, since=there, until=there + HOUR)
    assert lines(found)[0][:2] == ("12:00", 1)
    assert found.since.isoformat() == "2024-03-06T12:00:00+00:00"


def test_each_run_of_a_restarted_job_has_its_own_wait(records: Records) -> None:
    job = records.make_at(at(0), starts=at(1), wait=60, restartable=True)
    records.finish(job)
    assert records.operate("restart", job).changed
    assert lines(read(records))[0][:3] == ("12:00", 1, 1)
    assert records.claim(job).verdict == "run"
    records.place(job, at(0), starts=at(31), wait=5)
    found = lines(read(records))
    assert (found[0], found[2]) == (("12:00", 1, 1, 60, 60, 60), ("12:30", 0, 1, 5, 5, 5))
    assert counted(read(records, until=at(1), width=60)) == (1, 0)
    assert counted(read(records, since=at(45))) == (0, 0)


def test_a_further_attempt_of_a_run_is_no_start(records: Records) -> None:
    job = records.make_at(at(0), starts=at(1), wait=60)
    records.retry(job, due_at=None)
    assert records.claim(job).verdict == "run"
    assert counted(read(records)) == (1, 1)


def test_a_stopped_job_that_never_started_waits_no_more_and_counts_as_created(
    records: Records,
) -> None:
    job = records.make_at(at(0))
    assert records.operate("stop", job).changed
    assert counted(read(records)) == (1, 0)


def test_what_was_created_long_before_the_range_counts_where_it_started(
    records: Records,
) -> None:
    records.make_at(NOON - 40 * DAY, starts=at(1), wait=1_000)
    assert counted(read(records)) == (0, 1)
    assert read(records).total.maximum_waiting_seconds == 1_000


def test_children_count_like_roots_and_groups_not_at_all(records: Records) -> None:
    parent = records.make_at(at(0), starts=at(1), wait=60)
    records.make_at(at(2), starts=at(3), wait=60, under=parent)
    records.store.create_group(
        "canvas", label=None, run_by=None, queue="celery", system=False, low_priority=False
    )
    records.place("canvas", at(4), starts=at(4), wait=None)
    records.make_at(at(5), under="canvas")
    assert counted(read(records)) == (3, 2)


def test_system_jobs_are_left_out_unless_they_are_asked_for(records: Records) -> None:
    records.make_at(at(0), starts=at(1), wait=60)
    facts: dict[str, Any] = {"starts": at(1), "wait": 30, "system": True}
    records.make_at(at(0), **facts)
    again = records.make_at(at(0), restartable=True, **facts)
    records.finish(again)
    records.operate("restart", again)
    assert counted(read(records)) == (1, 1)
    assert counted(read(records, system=True)) == (2, 2)
    assert counted(read(records, system=None)) == (3, 3)


def test_types_choose_jobs_and_their_earlier_runs(records: Records) -> None:
    job = records.make_at(at(0), starts=at(1), wait=60, type="shop.export", restartable=True)
    records.finish(job)
    records.operate("restart", job)
    records.make_at(at(0), starts=at(1), wait=60, type="shop.tidy")
    records.make_at(at(0), type="shop.other")
    assert counted(read(records, types=["shop.export"])) == (1, 1)
    assert counted(read(records, types=["shop.tidy", "shop.other"])) == (2, 1)
    assert counted(read(records, types=["none", "\0"])) == (0, 0)
    assert counted(read(records)) == (3, 2)


def test_without_a_range_it_is_the_last_24_hours(records: Records) -> None:
    job, old = records.make(), records.make()
    records.let_pass(60, job)
    records.let_pass(25 * 3_600, old)
    found = read_statistics(records.database)
    assert (found.until - found.since, found.width_seconds) == (24 * HOUR, 900)
    assert counted(found) == (1, 0)


@pytest.mark.parametrize(
    ("hours", "width"),
    [
        (1, 60), (2, 60), (3, 300), (24, 900), (5 * 24, 3_600), (7 * 24, 10_800),
        (30 * 24, 43_200), (84 * 24, 86_400), (365 * 24, 7 * 86_400),
    ],
)  # fmt: skip
def test_the_width_follows_the_range(records: Records, hours: int, width: int) -> None:
    found = read(records, since=NOON - hours * HOUR, until=NOON, width=None)
    assert found.width_seconds == width
    assert 24 <= len(found.buckets) <= 121
    steps = {
        later.start - bucket.start
        for bucket, later in zip(found.buckets, found.buckets[1:], strict=False)
    }
    assert steps == {timedelta(seconds=width)}


def test_500_buckets_are_shown_and_not_one_more(records: Records) -> None:
    until = NOON + timedelta(minutes=500)
    assert len(read(records, until=until, width=60).buckets) == 500
    with pytest.raises(QueryRefused, match=r"501 buckets of 1 minute; .* widen the buckets"):
        read(records, until=until + timedelta(seconds=1), width=60)


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"since": at(60)}, "since must be before until"),
        ({"since": at(61)}, "since must be before until"),
        ({"since": at(59.5)}, "at least 1 minute"),
        ({"since": NOON.replace(tzinfo=None)}, "since needs a time zone"),
        ({"until": NOON.replace(tzinfo=None)}, "until needs a time zone"),
        ({"since": datetime.min.replace(tzinfo=UTC)}, "since is before 2001"),
        ({"until": datetime.max.replace(tzinfo=UTC)}, "until is in the future"),
        ({"since": datetime(2001, 1, 2, tzinfo=UTC), "width": None}, "narrow the range"),
        ({"width": 901}, "there are no buckets of 901 s; they have 60, 300, 900, "),
        ({"width": 0}, "there are no buckets of 0 s"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    records: Records, filters: dict[str, Any], says: str
) -> None:
    with pytest.raises(QueryRefused, match=says):
        read(records, **filters)


def test_a_range_that_has_not_begun_is_refused(records: Records) -> None:
    soon = datetime.now(UTC) + HOUR
    with pytest.raises(QueryRefused, match="since is in the future"):
        read(records, since=soon, until=soon + HOUR)
    assert len(read(records, since=soon - 3 * HOUR, until=soon).buckets) >= 12


def test_an_answer_that_takes_too_long_becomes_a_sentence(records: Records) -> None:
    with records.database.transaction() as other:
        other.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(QueryRefused, match=r"not there after 0.05 s: narrow the range"):
            read(records, timeout=0.05)
    assert counted(read(records)) == (0, 0)


def test_it_is_read_in_one_statement(records: Records) -> None:
    seen: list[str] = []

    class Recording(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **options: Any) -> Any:
            seen.append(query if isinstance(query, str) else query.decode())
            return super().execute(query, *args, **options)

    database = Database(records.database.url, pool_size=1)
    with database.connection() as connection:
        connection.cursor_factory = Recording
    records.make_at(at(0), starts=at(1), wait=60)
    assert read_statistics(database, since=NOON, until=NOON + HOUR).total.starts == 1
    database.close()
    assert len([query for query in seen if "job" in query]) == 1


def test_its_json_has_whole_numbers_and_times_in_utc(records: Records) -> None:
    records.make_at(at(1), starts=at(2), wait=60)
    shown = read(records).as_json()
    figures = {
        "creations": 1, "starts": 1, "average_waiting_seconds": 60.0,
        "minimum_waiting_seconds": 60.0, "maximum_waiting_seconds": 60.0,
    }  # fmt: skip
    assert shown["total"] == figures
    assert shown["buckets"][0] == {"start": "2024-03-06T12:00:00+00:00"} | figures
    assert list(shown) == ["since", "until", "bucket_seconds", "total", "buckets"]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(60, "1 minute"), (900, "15 minutes"), (3_600, "1 hour"), (43_200, "12 hours"),
     (86_400, "1 day"), (604_800, "1 week")],
)  # fmt: skip
def test_a_width_is_said_in_its_largest_unit(seconds: int, says: str) -> None:
    assert shown_width(seconds) == says
