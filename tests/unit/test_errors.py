"""The tree of errors: facts in, a sentence out."""

from __future__ import annotations

import inspect

import pytest

from jobmonitor import errors
from jobmonitor.errors import (
    DatabaseUnavailable,
    JobExists,
    JobFenced,
    JobInterrupt,
    JobMonitorError,
    JobNotFound,
    JobStopped,
    MessageTooLarge,
    NotMigrated,
    TaskExited,
)

ALL = [
    value for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, BaseException) and value.__module__ == errors.__name__
]  # fmt: skip


@pytest.mark.parametrize("error", ALL)
def test_each_error_is_in_the_tree_that_the_module_draws(error: type[BaseException]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
    assert issubclass(error, JobMonitorError) != issubclass(error, JobInterrupt)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            JobExists("j1", "In Progress"),
            "job j1 exists already and is In Progress; "
            "an id can be used again once its job is Finished or Canceled",
        ),
        (
            MessageTooLarge("shop.add", 1_234_567, 1_000_000),
            "the message of shop.add has 1,234,567 bytes; at most 1,000,000 are accepted "
            "(setting message_max): store the data elsewhere and pass a reference",
        ),
        (JobNotFound("j1"), "there is no job with the id 'j1'"),
        (TaskExited(SystemExit(3)), "the task raised SystemExit(3)"),
        (
            DatabaseUnavailable("postgresql://here", OSError("refused\nDETAIL: no")),
            "the database postgresql://here cannot be reached: refused",
        ),
        (JobStopped("j1"), "job j1 stopped at a checkpoint"),
    ],
)
def test_facts_become_a_sentence(error: BaseException, sentence: str) -> None:
    assert str(error) == sentence


def test_a_database_without_tables_says_what_to_run() -> None:
    assert "jobs migrate" in str(NotMigrated("postgresql://here"))


def test_a_database_error_without_words_is_named() -> None:
    assert str(DatabaseUnavailable("here", OSError())).endswith("cannot be reached: OSError()")


@pytest.mark.parametrize("interrupt", [JobStopped("j1"), JobFenced("j1")])
def test_a_task_cannot_swallow_an_interrupt(interrupt: JobInterrupt) -> None:
    with pytest.raises(JobInterrupt):
        try:
            raise interrupt
        except Exception:  # what a task's own code does
            pytest.fail("it was swallowed")
