"""What a task says of its jobs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobmonitor.errors import ConfigurationError
from jobmonitor.settings import Settings
from jobmonitor.task_options import TaskOptions, is_tracked, options_of

SETTINGS = Settings.of(
    database_url="postgresql://x", restartable=["shop.*"], stoppable=["cleaning.*"]
)


def options(name: str = "other.task", **attributes: Any) -> TaskOptions:
    return options_of(SimpleNamespace(**attributes), SETTINGS, name)


def test_a_task_that_says_nothing_has_the_defaults() -> None:
    assert options() == TaskOptions()
    assert options_of(None, SETTINGS, "not.registered.here") == TaskOptions()


def test_a_task_says_what_its_jobs_are() -> None:
    said = {"stoppable": False, "restartable": True, "system": True, "low_priority": True}
    found = options(label="Import", weight=2, **said)
    assert found == TaskOptions(**said, label="Import", weight=2.0)


def test_patterns_of_the_app_stand_for_tasks_that_cannot_be_edited() -> None:
    assert options("shop.import").restartable
    assert not options("workshop.import").restartable
    assert options("cleaning.logs", system=True).stoppable is True


def test_what_a_task_says_itself_beats_a_pattern() -> None:
    assert options("cleaning.logs", stoppable=False).stoppable is False


@pytest.mark.parametrize(("said", "rerun"), [("rerun", True), ("fail", False)])
def test_a_task_says_what_becomes_of_it_when_its_worker_is_lost(said: str, rerun: bool) -> None:
    assert options(on_worker_lost=said).rerun is rerun


def test_a_label_may_be_a_function_of_the_arguments() -> None:
    class Labelled:
        @staticmethod
        def label(path: str) -> str:
            return f"Import {path}"

    found = options_of(Labelled(), SETTINGS, "x").label
    assert callable(found)
    assert found("a.csv") == "Import a.csv"


def test_a_label_written_as_a_method_gets_the_arguments_only() -> None:
    task = type("Task", (), {"label": lambda path: f"Import {path}"})()
    found = options_of(task, SETTINGS, "x").label
    assert callable(found)
    assert found("a.csv") == "Import a.csv"


def test_a_map_is_labelled_with_the_task_it_calls() -> None:
    found = options_of(None, SETTINGS, "celery.map").label
    assert callable(found)
    assert found({"task": "shop.add"}, [1, 2]) == "shop.add over 2 items"


@pytest.mark.parametrize(
    ("name", "tracked"),
    [("shop.add", True), ("celery.map", True), ("celery.starmap", True),
     ("celery.chord_unlock", False), ("celery.accumulate", False)],
)  # fmt: skip
def test_of_celerys_own_tasks_only_those_that_run_the_apps_code_are_jobs(
    name: str, tracked: bool
) -> None:
    assert is_tracked(name, None) is tracked


def test_a_task_may_opt_out() -> None:
    assert not is_tracked("shop.ping", SimpleNamespace(track=False))


@pytest.mark.parametrize(
    ("option", "value", "takes"),
    [
        *(("weight", value, "a number from 0.001 to 1,000")
          for value in (0, -1, float("nan"), float("inf"), "heavy", 10**400, 1e39, None, True)),
        *(("on_worker_lost", value, "'rerun' or 'fail'") for value in ("maybe", None, 1, [])),
        *((option, value, "True or False")
          for option in ("stoppable", "restartable", "system", "low_priority", "track")
          for value in ("no", 1, [])),
        *(("label", value, "a text or a callable of the arguments") for value in (5, b"x", [])),
    ],
)  # fmt: skip
def test_what_an_option_cannot_be_is_refused_with_what_it_can(
    option: str, value: Any, takes: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"task other.task: {option} must be {takes}"):
        options(**{option: value})
