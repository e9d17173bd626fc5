"""Who watches tasks (receivers of signals, Flower, inspection) sees what was seen before."""

from __future__ import annotations

import pytest

from tests.plain_and_adopted import Told, stories_of, tell

STORIES = "tests.acceptance.watching_stories"


@pytest.fixture(scope="module")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return tell(STORIES, request, tmp_path_factory.mktemp("told"))


@pytest.mark.parametrize("story", stories_of(STORIES))
def test_what_is_seen_is_as_in_plain_celery(told: Told, story: str) -> None:
    assert told.adopted[story] == told.plain[story]
