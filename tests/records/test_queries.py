"""What people and programs read: pages, filters, trees."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobmonitor.errors import QueryRefused
from jobmonitor.records import queries
from jobmonitor.records.queries import Filters
from jobmonitor.records.store import Report
from tests.factories import RAISED, Records


def found(records: Records, **filters: Any) -> set[str]:
    """The ids of a page of filtered jobs."""
    return {job.id for job in records.queries.find(Filters(**filters)).jobs}


def test_a_list_shows_roots_newest_first(records: Records) -> None:
    made = [records.make() for _ in range(3)]
    records.make(under=made[0])
    assert [job.id for job in records.queries.find(Filters()).jobs] == made[::-1]


def test_pages_stay_where_they_are_while_jobs_arrive(records: Records) -> None:
    made = [records.make() for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = records.queries.find(Filters(), cursor=cursor, limit=3)
        seen += [job.id for job in page.jobs]
        records.make()
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == made[::-1]


def test_pages_break_between_jobs_of_the_same_moment(records: Records) -> None:
    made = [records.make() for _ in range(5)]
    records.sql("UPDATE job SET created_at = now()")
    first = records.queries.find(Filters(), limit=2)
    rest = records.queries.find(Filters(), cursor=first.cursor)
    assert [job.id for job in [*first.jobs, *rest.jobs]] == sorted(made, reverse=True)


@pytest.mark.parametrize(
    ("facts", "filters"),
    [
        ({"type": "shop.other"}, {"type": ["shop.other", "none"]}),
        ({"run_by": "alice"}, {"run_by": "alice"}),
        ({"system": True}, {"system": True}),
        ({"low_priority": True}, {"low_priority": True}),
        ({"label": "Import 100% of_it"}, {"q": "100% OF_"}),
        ({"type": "shop.special"}, {"q": "SPECIAL"}),
    ],
)
def test_a_filter_finds_what_it_names(
    records: Records, facts: dict[str, Any], filters: dict[str, Any]
) -> None:
    wanted = records.make(**facts)
    records.make()
    assert found(records, **filters) == {wanted}


def test_jobs_are_found_by_status_and_errors(records: Records) -> None:
    waits, runs, failed = records.make(), records.make_running(), records.make_running()
    records.finish(failed, RAISED)
    assert found(records, status=["pending", "running"]) == {waits, runs}
    assert found(records, has_errors=True) == {failed}


def test_jobs_are_found_by_their_times(records: Records) -> None:
    old, new = records.make(), records.make()
    records.let_pass(3_600, old)
    middle = records.view(new).created_at - timedelta(seconds=60)
    assert found(records, created_from=middle) == {new}
    assert found(records, created_to=middle) == {old}


def test_a_place_in_the_tree_finds_the_jobs_there(records: Records) -> None:
    root, child, other = records.make_family(2)
    records.claim(child)
    below = records.make(under=child)
    assert found(records, parent=root) == {child, other}
    assert found(records, root=root) == {root, child, other, below}


def test_a_page_leads_back_to_the_newer_jobs(records: Records) -> None:
    made = [records.make() for _ in range(7)][::-1]
    first = records.queries.find(Filters(), limit=3)
    second = records.queries.find(Filters(), limit=3, cursor=first.cursor)
    third = records.queries.find(Filters(), limit=3, cursor=second.cursor)
    back = records.queries.find(Filters(), limit=3, cursor=third.newer)
    start = records.queries.find(Filters(), limit=3, cursor=second.newer)
    pages = [[job.id for job in page.jobs] for page in (first, second, third, back, start)]
    assert pages == [made[:3], made[3:6], made[6:], made[3:6], made[:3]]
    assert (first.newer, third.cursor, start.newer) == (None, None, None)
    assert (back.cursor, back.newer) == (second.cursor, second.newer)


def test_a_list_does_not_read_what_may_be_large(records: Records) -> None:
    job = records.make_running()
    records.advance(job, Report(checkpoint='{"state": 1}'))
    assert records.view(job).checkpoint == {"state": 1}
    assert records.queries.find(Filters()).jobs[0].checkpoint is None


def test_some_jobs_are_read_by_their_ids(records: Records) -> None:
    one, two, _ = (records.make() for _ in range(3))
    some = records.queries.some([one, two, "no-such-job", "a\0"])
    assert {job.id for job in some} == {one, two}


def test_a_time_grows_only_while_it_is_counted(records: Records) -> None:
    def grows(job_id: str) -> tuple[bool, bool]:
        view = records.view(job_id)
        return view.waiting_grows, view.duration_grows

    job = records.make()
    assert grows(job) == (True, False)
    records.claim(job)
    assert grows(job) == (False, True)
    records.finish(job)
    assert grows(job) == (False, False)


def test_a_tree_is_read_depth_first_oldest_first(records: Records) -> None:
    root, child, other = records.make_family(2)
    records.claim(child)
    below = records.make(under=child)
    nodes = [(node.depth, node.job.id) for node in records.queries.tree(root)]
    assert nodes == [(0, root), (1, child), (2, below), (1, other)]


def test_descendants_are_counted_at_the_root_and_children_at_each(records: Records) -> None:
    root, child, _ = records.make_family(2)
    records.claim(child)
    below = records.make_running(under=child)
    records.finish(below, RAISED)
    view = records.view(root)
    assert (view.children.total, view.children.finished) == (2, 0)
    assert view.descendants is not None
    assert (view.descendants.total, view.descendants.with_errors) == (3, 1)
    assert records.view(child).descendants is None
    assert not view.has_errors


def test_a_finished_parent_says_what_is_left(records: Records) -> None:
    root, _, _ = records.make_family(2)
    records.finish(root)
    view = records.view(root)
    assert view.shown_status == "Finished · 2 children left"
    assert "stop" in view.operations


def test_only_what_may_be_unfinished_is_looked_for_below_a_job(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, child = records.make_family(1)
    records.claim(child)
    records.finish(child)
    records.finish(done)
    open_, *_ = records.make_family(2)
    walked: list[Any] = []
    plain = records.database.rows
    monkeypatch.setattr(
        records.database,
        "rows",
        lambda verb, facts: walked.append(facts.get("ids", [])) or plain(verb, facts),
    )
    records.queries.find(Filters())
    records.queries.get(done)
    records.queries.get(open_, walk_max=2)
    assert walked == []
    records.queries.get(open_, walk_max=3)
    records.queries.get(open_)
    records.finish(open_)
    walked.clear()
    records.queries.find(Filters())
    assert walked == [[open_]]


@pytest.mark.parametrize("is_root", [True, False], ids=["root", "below"])
def test_a_child_that_ends_while_its_parent_is_read_is_counted(
    records: Records, monkeypatch: pytest.MonkeyPatch, is_root: bool
) -> None:
    parent = records.make(under=None if is_root else records.make())
    records.claim(parent)
    child = records.make_running(under=parent)
    records.finish(parent)
    plain = records.database.rows

    def rows(verb: str, facts: Any) -> list[Any]:
        if verb == "below":
            records.finish(child, RAISED)
        return plain(verb, facts)

    monkeypatch.setattr(records.database, "rows", rows)
    view = records.view(parent)
    assert (view.unfinished, view.children.finished, view.children.with_errors) == (0, 1, 1)


def test_progress_is_whole_where_a_job_finished_well(records: Records) -> None:
    good, bad = records.make_running(), records.make_running()
    assert records.view(good).progress.percent is None
    records.finish(good)
    records.finish(bad, RAISED)
    percents = [records.view(job).progress.percent for job in (good, bad)]
    assert percents == [100, None]


@pytest.mark.parametrize("cursor", ["", "x", "e30=", "WzEsMl0=", "é"])
def test_a_cursor_of_another_list_is_refused(records: Records, cursor: str) -> None:
    with pytest.raises(QueryRefused, match="cursor"):
        records.queries.find(Filters(), cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_limit_out_of_range_is_refused(records: Records, limit: int) -> None:
    with pytest.raises(QueryRefused, match="limit"):
        records.queries.find(Filters(), limit=limit)


def test_a_search_that_takes_too_long_is_ended_and_says_so(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_SECONDS_MAX", 0.3)
    job = records.make(run_by="alice")
    with records.database.transaction() as other:
        other.execute("LOCK TABLE job")
        with pytest.raises(QueryRefused, match=r"not there after 0\.3 s: narrow the filters"):
            records.queries.find(Filters(run_by="alice"))
    assert found(records, run_by="alice") == {job}
    with records.database.reading() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"


def test_a_status_that_does_not_exist_is_refused(records: Records) -> None:
    with pytest.raises(QueryRefused, match="there is no status 'done'"):
        records.queries.find(Filters(status=["done"]))


def test_what_postgres_cannot_store_does_not_exist(records: Records) -> None:
    assert records.queries.get("a\0") is None
    assert found(records, run_by="a\0") == set()
    assert records.operate("stop", "a\0").reason == "there is no job with this id"
