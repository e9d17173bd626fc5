"""Operations on what waits in a fair queue: the broker hears of them, and delivers nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tests.acceptance.steering_world import QUEUE, Line
from tests.acceptance_fixtures import APP
from tests.waiting import eventually
from tests.workers import IMPORTS, REPOSITORY

Trace = Callable[[], list[str]]


# -- a whole root ----------------------------------------------------------------------------


def test_a_stopped_root_costs_no_delivery_and_resumes_each_of_its_jobs_once(
    line: Line, trace: Trace
) -> None:
    root = line.submit("root")
    children = line.submit_many(300, root, "child")
    before = line.deliveries()
    [outcome] = line.jobs.stop(root)
    assert (outcome.changed, outcome.descendants_changed) == (True, 300)
    assert line.meta("held") == 301
    line.flow()
    assert line.deliveries() - before == 1
    assert trace() == ["last"]
    line.jobs.resume(root)
    assert line.meta("held") == 0
    line.flow()
    assert sorted(trace()) == sorted(
        ["last", "root", *(f"child {number}" for number in range(300)), "last"]
    )
    assert line.deliveries() - before == 303
    assert line.dispatches([root, *children]) == {1}


def test_a_canceled_root_leaves_nothing_in_the_queue(line: Line, trace: Trace) -> None:
    root = line.submit("root")
    children = line.submit_many(20, root, "child")
    before = line.deliveries()
    line.jobs.stop(root)
    assert line.queue.size() == 21
    line.jobs.cancel(root)
    assert line.queue.size() == 0
    line.flow()
    assert trace() == ["last"]
    assert line.deliveries() - before == 1
    assert line.statuses([root, *children]) == {"canceled"}


def test_a_resumed_child_runs_below_its_stopped_root(line: Line, trace: Trace) -> None:
    root = line.submit("root")
    child, other = line.submit("child", root), line.submit("other", root)
    before = line.deliveries()
    line.jobs.stop(root)
    line.jobs.resume(child)
    line.flow()
    assert sorted(trace()) == ["child", "last"]
    assert line.deliveries() - before == 2
    line.jobs.resume(root)
    line.flow()
    assert sorted(trace()) == ["child", "last", "last", "other", "root"]
    assert line.statuses([root, child, other]) == {"finished"}


def test_a_whole_root_is_moved_between_the_classes_without_a_message(
    line: Line, trace: Trace
) -> None:
    root = line.submit("root")
    children = line.submit_many(20, root, "child")
    line.jobs.set_low_priority(root)
    assert (line.meta("waiting"), line.meta("low:waiting")) == (0, 21)
    line.jobs.remove_low_priority(root)
    assert (line.meta("waiting"), line.meta("low:waiting")) == (21, 0)
    line.jobs.set_low_priority(root)
    for number in range(3):
        line.submit(f"normal {number}")
    line.flow()
    assert set(trace()[:4]) == {"normal 0", "normal 1", "normal 2", "last"}
    assert len(trace()) == 25
    assert line.dispatches([root, *children]) == {1}


def test_a_stopped_root_that_is_set_low_meanwhile_resumes_in_the_low_class(
    line: Line, trace: Trace
) -> None:
    root = line.submit("root")
    line.submit_many(5, root, "child")
    line.jobs.stop(root)
    line.jobs.set_low_priority(root)
    line.jobs.resume(root)
    assert (line.meta("waiting"), line.meta("low:waiting")) == (0, 6)
    line.flow()
    assert (trace()[0], len(trace())) == ("last", 7)


def test_what_is_due_later_is_published_in_the_other_class(line: Line) -> None:
    root = line.submit("root", countdown=3600)
    child = line.submit("child", root)
    line.jobs.set_low_priority(root)
    assert (line.dispatches([root]), line.dispatches([child])) == ({2}, {1})
    assert line.meta("low:waiting") == 1
    classes = [text.split()[0] for text in line.client.hvals(f"{line.queue.base}due_messages")]
    assert sorted(classes) == ["low", "normal"]


# -- a root that still runs -------------------------------------------------------------------


def begin(line: Line, tasks: ModuleType, marker: Path, *, system: bool) -> str:
    """Start a root that runs until the marker is there; its ten children wait."""
    root: str = tasks.submits.delay(QUEUE, 10, str(marker), system).id
    eventually(lambda: line.meta("waiting") == 11, within=30, says="its children wait")
    return root


def test_the_children_of_a_stopping_root_are_held_and_what_is_untracked_goes_on(
    line: Line, steering_tasks: ModuleType, trace: Trace, tmp_path: Path
) -> None:
    root = begin(line, steering_tasks, tmp_path / "marker", system=False)
    assert line.jobs.stop(root)[0].status == "stopping"
    assert line.meta("held") == 10
    before = line.deliveries()
    (tmp_path / "marker").touch()
    line.jobs.wait_for(root, "finished")
    line.flow()
    assert sorted(trace()) == ["last", "untracked"]
    assert line.deliveries() - before == 2
    line.jobs.cancel(root)
    assert line.queue.size() == 0


def test_a_canceled_root_takes_nothing_with_it_that_is_untracked(
    line: Line, steering_tasks: ModuleType, trace: Trace, tmp_path: Path
) -> None:
    root = begin(line, steering_tasks, tmp_path / "marker", system=False)
    line.jobs.stop(root)
    (tmp_path / "marker").touch()
    line.jobs.wait_for(root, "finished")
    line.jobs.cancel(root)
    assert line.queue.size() == 1
    line.flow()
    assert sorted(trace()) == ["last", "untracked"]


def test_a_system_job_that_a_stopping_root_submits_runs_all_the_same(
    line: Line, steering_tasks: ModuleType, trace: Trace, tmp_path: Path
) -> None:
    root = begin(line, steering_tasks, tmp_path / "marker", system=True)
    line.jobs.stop(root)
    assert line.meta("held") == 10
    (tmp_path / "marker").touch()
    line.jobs.wait_for(root, "finished")
    line.flow()
    assert sorted(trace()) == ["guarded", "last", "untracked"]
    line.jobs.resume(root)
    line.flow()
    assert sum(word.startswith("child") for word in trace()) == 10
    assert len(trace()) == 14


# -- a part of a tree ------------------------------------------------------------------------


def tree(line: Line) -> tuple[str, str, list[str]]:
    """A root with a child that has ten, and ten more."""
    root = line.submit("root")
    part = line.submit("part", root)
    below = line.submit_many(10, part, "below")
    line.submit_many(10, root, "beside")
    return root, part, below


def count(trace: Trace, word: str) -> int:
    return sum(item.startswith(word) for item in trace())


def test_the_messages_of_a_stopped_part_are_dropped_and_published_again(
    line: Line, trace: Trace
) -> None:
    _, part, below = tree(line)
    before = line.deliveries()
    line.jobs.stop(part)
    line.flow()
    assert line.deliveries() - before == 12  # the root, those beside, and the last
    assert (count(trace, "below"), count(trace, "beside")) == (0, 10)
    line.jobs.resume(part)
    assert line.dispatches([part, *below]) == {2}
    line.flow()
    assert (count(trace, "part"), count(trace, "below")) == (1, 10)
    assert line.deliveries() - before == 24


def test_the_messages_of_a_canceled_part_are_dropped(line: Line, trace: Trace) -> None:
    root, part, below = tree(line)
    before = line.deliveries()
    line.jobs.stop(root)
    line.jobs.cancel(part)
    line.jobs.resume(root)
    line.flow()
    assert line.deliveries() - before == 12
    assert (count(trace, "below"), count(trace, "beside")) == (0, 10)
    assert line.statuses([part, *below]) == {"canceled"}


def test_a_canceled_part_that_is_submitted_again_is_not_swallowed(
    line: Line, trace: Trace
) -> None:
    root, part, below = tree(line)
    line.jobs.stop(part)
    line.jobs.cancel(part)
    assert line.jobs.get(root).status == "pending"
    eventually(lambda: not line.owes([part, *below]), says="Celery is told of the ends")
    line.shop.traced.apply_async(("anew",), queue=QUEUE, task_id=part)
    line.flow()
    assert (count(trace, "anew"), count(trace, "part"), count(trace, "below")) == (1, 0, 0)
    assert line.statuses(below) == {"canceled"}


def test_a_part_goes_to_the_low_class_and_comes_back(line: Line, trace: Trace) -> None:
    _, part, below = tree(line)
    line.jobs.set_low_priority(part)
    assert line.dispatches([part, *below]) == {1}
    line.flow()
    assert set(trace()[:12]) == {"root", "last", *(f"beside {n}" for n in range(10))}
    assert set(trace()[12:]) == {"part", *(f"below {n}" for n in range(10))}


def test_a_part_that_is_normal_again_goes_with_the_others(line: Line, trace: Trace) -> None:
    _, part, below = tree(line)
    before = line.deliveries()
    line.jobs.set_low_priority(part)
    line.jobs.remove_low_priority(part)
    assert line.dispatches([part, *below]) == {2}
    line.flow()
    assert trace()[-1] in {"last", "part", *(f"below {n}" for n in range(10))}
    assert line.meta("low:waiting") == 0
    assert (count(trace, "part"), count(trace, "below")) == (1, 10)
    assert line.deliveries() - before == 23


def test_a_root_that_is_normal_again_takes_its_low_parts_with_it(
    line: Line, trace: Trace
) -> None:
    root, part, _ = tree(line)
    line.jobs.set_low_priority(part)
    line.jobs.remove_low_priority(root)
    line.submit("low", low_priority=True)
    line.flow()
    assert trace()[-1] == "low"
    assert (count(trace, "part"), count(trace, "below")) == (1, 10)


# -- somebody dies, or Redis is away ---------------------------------------------------------


def command(
    environment: dict[str, str], *words: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the `jobs` commands in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", APP, "jobs", *words],
        env={**os.environ, "PYTHONPATH": IMPORTS, **environment, **extra},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_stop_that_dies_before_it_marks_its_messages_loses_and_doubles_nothing(
    line: Line, environment: dict[str, str], trace: Trace
) -> None:
    _, part, below = tree(line)
    died = command(environment, "stop", part, JOBMONITOR_FAILPOINT="given_up:kill")
    assert died.returncode == -signal.SIGKILL
    assert line.statuses([part, *below]) == {"stopped"}
    line.jobs.resume(part)
    assert line.dispatches([part, *below]) == {2}
    line.flow()
    assert (count(trace, "part"), count(trace, "below"), count(trace, "beside")) == (1, 10, 10)


def test_what_a_resume_that_dies_left_held_is_released_by_a_worker(
    line: Line, environment: dict[str, str], trace: Trace
) -> None:
    root = line.submit("root")
    children = line.submit_many(5, root, "child")
    line.jobs.stop(root)
    died = command(environment, "resume", root, JOBMONITOR_FAILPOINT="resumed:kill")
    assert died.returncode == -signal.SIGKILL
    assert line.statuses([root, *children]) == {"pending"}
    eventually(lambda: line.meta("held") == 0, says="the round of a worker releases it")
    line.flow()
    assert sorted(trace()) == sorted(["root", *(f"child {n}" for n in range(5)), "last"])


def test_operations_are_answered_while_redis_is_away(
    line: Line, environment: dict[str, str], trace: Trace
) -> None:
    root = line.submit("root")
    children = line.submit_many(5, root, "child")
    away = {"BROKER_URL": "fair-redis://127.0.0.1:1"}
    for operation, status in (("stop", "stopped"), ("cancel", "canceled")):
        answered = command(environment, operation, root, **away)
        assert answered.returncode == 0, answered.stderr
        assert "the broker was not told" in answered.stderr
        assert line.statuses([root, *children]) == {status}
    line.flow()
    assert trace() == ["last"]


def test_what_was_resumed_while_redis_was_away_runs_when_it_is_back(
    line: Line, environment: dict[str, str], trace: Trace
) -> None:
    root = line.submit("root")
    line.submit_many(5, root, "child")
    line.jobs.stop(root)
    answered = command(environment, "resume", root, BROKER_URL="fair-redis://127.0.0.1:1")
    assert answered.returncode == 0, answered.stderr
    eventually(lambda: line.meta("held") == 0, says="the round of a worker releases it")
    line.flow()
    assert sorted(trace()) == sorted(["root", *(f"child {n}" for n in range(5)), "last"])
