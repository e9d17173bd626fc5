"""Parts of a page that ask whether they changed, and what an unchanged one costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from jobmonitor import JobMonitor
from jobmonitor.records import database as database_module
from jobmonitor.records.store import Report
from tests.factories import Records
from tests.panel.pages import Page, page_of
from tests.waiting import eventually

PART = {"HX-Request": "true", "HX-Target": "div#jobs"}


def test_a_part_is_only_the_list(reader: FlaskClient, records: Records) -> None:
    records.make()
    answer = reader.get("/jobs", headers=PART)
    assert (answer.status_code, "<html" in answer.text) == (200, False)
    assert page_of(answer).ids
    assert "<html" in reader.get("/jobs", headers={"HX-Request": "true"}).text


def test_a_list_that_has_not_changed_is_one_indexed_query_on_jobs_and_no_answer(
    reader: FlaskClient,
    records: Records,
    monitor: JobMonitor,
    statements: Callable[[], list[Any]],
) -> None:
    seed(records, 3_000)
    tag = page_of(reader.get("/jobs")).one("div", id="jobs").get("hx-ptag")
    before = len(statements())
    answer = reader.get("/jobs", headers=PART | {"HX-PTag": tag})
    assert (answer.status_code, answer.text, answer.headers["HX-PTag"]) == (304, "", tag)
    asked = statements()[before:]
    [query] = [one for one in asked if not isinstance(one, str)]
    assert [one for one in asked if isinstance(one, str)] == ["check_session"]
    with monitor.database.connection() as connection:
        plan = connection.execute(b"EXPLAIN " + query[0].encode(), query[1]).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert "Index Scan using job_roots on job" in text
    assert "Seq Scan on job " not in text
    assert "Sort" not in text


@pytest.fixture
def statements(
    monitor: JobMonitor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[Any]]]:
    """What was asked of the database: names of verbs, and (statement, parameters)."""
    asked: list[Any] = []
    plain = database_module.fetch

    def fetch(connection: Any, verb: str, parameters: Any) -> list[Any]:
        asked.append(verb)
        return plain(connection, verb, parameters)

    def executed(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    monkeypatch.setattr(database_module, "fetch", fetch)
    engine = monitor.database.engine
    event.listen(engine, "before_cursor_execute", executed)
    yield lambda: list(asked)
    event.remove(engine, "before_cursor_execute", executed)


def seed(records: Records, number: int) -> None:
    """Many waiting jobs, one a second, each tenth of them a root."""
    records.make("first")
    records.sql(
        "INSERT INTO job SELECT (jsonb_populate_record(job, jsonb_build_object("
        "'id', 'seed-' || n, 'root_id', 'seed-' || n, "
        "'created_at', job.created_at - n * interval '1 s', "
        "'parent_id', CASE WHEN n %% 10 > 0 THEN 'first' END))).* "
        "FROM job, generate_series(1, %s::int) n",
        number,
    )
    records.sql("ANALYZE job")


def test_the_tag_does_not_change_while_times_merely_grow(
    reader: FlaskClient, records: Records, monitor: JobMonitor
) -> None:
    waits, runs = records.make(), records.make_running()
    tag = reader.get("/jobs", headers=PART).headers["HX-PTag"]
    seen = (monitor.jobs.get(waits).waiting_seconds, monitor.jobs.get(runs).duration_seconds)
    eventually(lambda: monitor.jobs.get(waits).waiting_seconds > seen[0])
    eventually(lambda: (monitor.jobs.get(runs).duration_seconds or 0) > (seen[1] or 0))
    answer = reader.get("/jobs", headers=PART | {"HX-PTag": tag})
    assert (answer.status_code, answer.headers["HX-PTag"]) == (304, tag)


CHANGES: dict[str, Callable[[Records, str], object]] = {
    "a new job": lambda records, _: records.make(),
    "a child": lambda records, job_id: records.make(under=job_id),
    "progress": lambda records, job_id: records.advance(
        job_id, Report(done=1, total=2, has_progress=True)
    ),
    "a message": lambda records, job_id: records.advance(
        job_id, Report(done=0, message="x", has_progress=True)
    ),
    "an error": lambda records, job_id: records.advance(job_id, Report(has_errors=True)),
    "a checkpoint": lambda records, job_id: records.advance(job_id, Report(checkpoint="{}")),
    "a stop": lambda records, job_id: records.operate("stop", job_id),
    "a priority": lambda records, job_id: records.operate("set-low-priority", job_id),
    "the end": lambda records, job_id: records.finish(job_id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_list_that_has_changed_is_sent(
    reader: FlaskClient, records: Records, change: str
) -> None:
    job_id = records.make_running()
    tag = reader.get("/jobs", headers=PART).headers["HX-PTag"]
    CHANGES[change](records, job_id)
    answer = reader.get("/jobs", headers=PART | {"HX-PTag": tag})
    assert answer.status_code == 200
    assert answer.headers["HX-PTag"] != tag


def test_people_of_different_roles_have_different_tags(
    reader: FlaskClient, steerer: FlaskClient, records: Records
) -> None:
    records.make()
    tags = [one.get("/jobs", headers=PART).headers["HX-PTag"] for one in (reader, steerer)]
    assert tags[0] != tags[1]
    answer = reader.get("/jobs", headers=PART | {"HX-PTag": tags[1]})
    assert (answer.status_code, Page(answer.text).all("input")) == (200, [])
