"""A task called in every way does what it did without jobmonitor."""

from __future__ import annotations

import pytest

from tests.plain_and_adopted import Told, stories_of, tell

STORIES = "tests.acceptance.calling_stories"


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return tell(STORIES, request, tmp_path_factory.mktemp("told"))


@pytest.mark.parametrize("story", stories_of(STORIES))
def test_a_call_is_as_in_plain_celery(told: Told, story: str) -> None:
    assert told.adopted[story] == told.plain[story]


def test_every_job_of_the_stories_has_ended(told: Told) -> None:
    assert told.jobs("status <> 'finished'") == []


def test_a_job_whose_before_start_raises_has_failed(told: Told) -> None:
    [job] = told.jobs("id = 'handled-break before'")
    assert (job.status, job.error) == ("finished", "LookupError: before the start")


def test_a_job_that_is_retried_elsewhere_is_shown_there(told: Told) -> None:
    [job] = told.jobs("id = 'elsewhere'")
    assert (job.queue, job.attempt) == ("by_glob", 2)
