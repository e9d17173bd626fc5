"""Where a job gets to: iterations, steps, and the keys of children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from jobmonitor.job import RunningJob
from tests.unit.running_jobs import Recorder, attempt_of


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def job(recorder: Recorder) -> RunningJob:
    return attempt_of(recorder)


# -- iterate and step ----------------------------------------------------------------------


def run_until(job: RunningJob, items: Any, last: Any) -> list[Any]:
    """Iterate, and die while the item is worked on."""
    done = []
    try:
        for item in job.iterate(items):
            if item == last:
                raise KeyboardInterrupt
            done.append(item)
    except KeyboardInterrupt:
        pass
    return done


def test_a_repeat_goes_on_behind_the_last_finished_item(
    job: RunningJob, recorder: Recorder
) -> None:
    assert run_until(job, "abcd", "c") == ["a", "b"]
    again = attempt_of(recorder, job.last_report())
    assert list(again.iterate("abcd")) == ["c", "d"]


def test_a_callable_gets_the_cursor_of_the_last_finished_item(
    job: RunningJob, recorder: Recorder
) -> None:
    def rows(cursor: str | None) -> Iterator[tuple[str, str]]:
        return ((name, name.upper()) for name in "abcd" if cursor is None or name > cursor)

    assert run_until(job, rows, "C") == ["A", "B"]
    again = attempt_of(recorder, job.last_report())
    assert list(again.iterate(rows, total=4)) == ["C", "D"]
    assert again.last_report().done == 4


def test_an_iteration_that_has_ended_is_not_repeated(
    job: RunningJob, recorder: Recorder
) -> None:
    assert list(job.iterate("ab")) == ["a", "b"]
    again = attempt_of(recorder, job.last_report())
    assert list(again.iterate("ab")) == []
    assert list(again.iterate("cd")) == ["c", "d"]


def pairs(job: RunningJob, done: list[str], last: str = "") -> None:
    """Iterate inside an iteration, and die at one of the inner items."""
    for outer in job.iterate("ab"):
        for inner in job.iterate("xyz"):
            if outer + inner == last:
                raise KeyboardInterrupt
            done.append(outer + inner)


def test_a_nested_iteration_goes_on_where_it_was(job: RunningJob, recorder: Recorder) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        pairs(job, done, last="by")
    assert done == ["ax", "ay", "az", "bx"]
    pairs(attempt_of(recorder, job.last_report()), done)
    assert done == ["ax", "ay", "az", "bx", "by", "bz"]


def test_only_the_outermost_iteration_reports_progress(job: RunningJob) -> None:
    pairs(job, [])
    last = job.last_report()
    assert (last.done, last.total) == (2, 2)


def test_finished_inner_iterations_leave_nothing_in_the_checkpoint(job: RunningJob) -> None:
    for _ in job.iterate(range(1_000)):
        list(job.iterate("xyz"))
    assert len(job.last_report().checkpoint or "") < 200


def test_a_step_runs_once_over_all_attempts(job: RunningJob, recorder: Recorder) -> None:
    assert list(job.step("load")) == ["load"]
    again = attempt_of(recorder, job.last_report())
    assert list(again.step("load")) == []
    assert list(again.step("save")) == ["save"]


def test_a_step_that_breaks_off_is_repeated(job: RunningJob, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="broken"):
        for _ in job.step("load"):
            raise ValueError("broken")
    again = attempt_of(recorder, job.last_report())
    assert list(again.step("load")) == ["load"]


# -- keys of children ----------------------------------------------------------------------


def keys(job: RunningJob, last: str = "") -> list[str | None]:
    """Two children per item of two, then one in a step; maybe die at an item."""
    found: list[str | None] = []
    for item in job.iterate("ab"):
        found += [job.child_key(), job.child_key()]
        if item == last:
            return found
    for _ in job.step("report"):
        found.append(job.child_key())
    return found


def test_each_child_of_an_item_or_step_has_a_key_of_its_own(job: RunningJob) -> None:
    found = keys(job)
    assert None not in found
    assert len(set(found)) == 5


def test_a_repeat_gives_its_children_the_same_keys(recorder: Recorder) -> None:
    whole = keys(attempt_of(recorder))
    died = attempt_of(recorder)
    assert keys(died, last="b") == whole[:4]
    again = keys(attempt_of(recorder, died.last_report()))
    assert again == whole[2:]


def test_outside_an_iteration_children_have_no_key(job: RunningJob) -> None:
    list(job.iterate("ab"))
    assert job.child_key() is None


def test_a_step_inside_an_item_runs_once_for_each_item(job: RunningJob) -> None:
    done = [number for number in job.iterate([1, 2, 3]) for _ in job.step("load")]
    assert done == [1, 2, 3]
