"""Where a message goes and how it is written, at first and when it is published again."""

from __future__ import annotations

import pytest

from tests.plain_and_adopted import Told, stories_of, tell

STORIES = "tests.acceptance.sending_stories"
MANY = "celery,everybody,by_name,by_glob,by_function,own,topics"


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return tell(STORIES, request, tmp_path_factory.mktemp("told"), MANY, "everybody,second")


@pytest.mark.parametrize("story", stories_of(STORIES))
def test_a_message_is_as_in_plain_celery(told: Told, story: str) -> None:
    assert told.adopted[story] == told.plain[story]


def test_every_job_has_its_queue(told: Told) -> None:
    queues = {job.id: job.queue for job in told.jobs("type IN ('styles.anywhere')")}
    assert queues == {
        "by-default": "celery", "by-function": "by_function",
        "to-a-queue": "by_name", "to-a-queue-object": "by_glob", "to-an-exchange": "own",
        "to-an-exchange-object": "own", "to-a-queue-of-its-own": "own", "to-a-topic": "topics",
        "to-a-topic-queue": "topics", "to-another-worker": "second",
        "to-a-new-queue": "brand_new",
    }  # fmt: skip
    routed = told.jobs("id IN ('by-name', 'by-glob', 'by-task', 'foreign')")
    assert [job.queue for job in routed] == ["by_glob", "by_name", "by_name", "by_name"]


def test_what_could_not_be_sent_or_goes_to_every_worker_is_no_job(told: Told) -> None:
    assert told.jobs("id IN ('nowhere', 'unwritten', 'to-all')") == []
