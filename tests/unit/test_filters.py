"""What the address of a page says; see flask_panel/filters.py."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.datastructures import MultiDict

from flask_panel.filters import ListFilters, LogFilters

Args = MultiDict[str, str]
ALL: dict[str, Any] = {
    "status": ["running", "finished"], "errors": "yes", "low_priority": "no",
    "type": "shop.add", "run_by": "ann", "q": "text", "system": "1",
}  # fmt: skip


def test_nothing_is_filtered_where_nothing_is_asked_for() -> None:
    filters = ListFilters.of(Args())
    assert not filters.are_set
    assert filters.as_args() == {}
    assert filters.as_query() == {
        "status": (), "has_errors": None, "low_priority": None, "type": (), "run_by": None,
        "q": None, "system": False,
    }  # fmt: skip


def test_every_filter_becomes_a_keyword_of_the_query() -> None:
    filters = ListFilters.of(Args(ALL))
    assert filters.are_set
    assert filters.as_query() == {
        "status": ("running", "finished"), "has_errors": True, "low_priority": False,
        "type": ("shop.add",), "run_by": "ann", "q": "text", "system": None,
    }  # fmt: skip


def test_the_address_of_the_same_list_says_the_same() -> None:
    filters = ListFilters.of(Args(ALL))
    assert ListFilters.of(Args(filters.as_args())) == filters


def test_system_jobs_are_a_choice_and_no_filter() -> None:
    filters = ListFilters.of(Args({"system": "1"}))
    assert (filters.system, filters.are_set) == (True, False)


@pytest.mark.parametrize(
    "args",
    [
        {"status": ["sleeping", "", "RUNNING"]}, {"errors": "maybe"}, {"low_priority": "1"},
        {"system": "yes"}, {"q": "  \t "}, {"type": ""}, {"unknown": "x"}, {"cursor": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_left_out(args: dict[str, Any]) -> None:
    assert ListFilters.of(Args(args)) == ListFilters.of(Args())


def test_a_text_is_stripped_and_cut() -> None:
    filters = ListFilters.of(Args({"q": f"  {'x' * 10_000} ", "type": " a ", "run_by": "\t"}))
    assert (len(filters.q), filters.type, filters.run_by) == (500, "a", "")


def test_a_log_is_shown_newest_first_with_all_its_lines() -> None:
    filters = LogFilters.of(Args())
    assert not filters.are_set
    assert filters.as_args() == {}
    assert filters.as_query() == {
        "level": None, "q": None, "newest_first": True, "cursor": None
    }  # fmt: skip


def test_a_log_is_filtered_by_level_and_text_and_may_be_turned() -> None:
    args = {"level": "warning", "text": " boom ", "order": "oldest", "lines": "17"}
    filters = LogFilters.of(Args(args))
    assert filters.are_set
    assert filters.as_query() == {
        "level": "WARNING", "q": "boom", "newest_first": False, "cursor": "17"
    }  # fmt: skip
    assert filters.as_args() == {"level": "WARNING", "text": "boom", "order": "oldest"}


@pytest.mark.parametrize(
    "args", [{"level": "LOUD"}, {"order": "random"}, {"text": " "}], ids=str
)
def test_what_makes_no_sense_for_a_log_is_left_out(args: dict[str, str]) -> None:
    assert LogFilters.of(Args(args)) == LogFilters.of(Args())
