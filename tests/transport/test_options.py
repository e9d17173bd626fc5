"""The options of the transport: nonsense is refused with one sentence, before anything else."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from jobmonitor.errors import ConfigurationError
from tests.transport.conversation import Conversation, take_all

REFUSED = {
    "floor-1": ({"fair_floor": 1}, "fair_floor must be a number from 0 to below 1, not 1"),
    "floor-negative": ({"fair_floor": -0.1}, "not -0.1"),
    "floor-text": ({"fair_floor": "much"}, "not 'much'"),
    "floor-nan": ({"fair_floor": float("nan")}, "not nan"),
    "floor-none": ({"fair_floor": None}, "not None"),
    "beat-0": ({"beat_every": 0}, "beat_every must be seconds above 0"),
    "beat-true": ({"beat_every": True}, "not True"),
    "lost-inf": ({"lost_after": float("inf")}, "lost_after must be seconds above 0"),
    "lost-text": ({"lost_after": "30"}, "not '30'"),
    "lost-soon": ({"lost_after": 14}, "must be at least three times beat_every (5.0 s)"),
}


@pytest.mark.parametrize("options, sentence", REFUSED.values(), ids=REFUSED)
def test_an_option_that_makes_no_sense_is_refused(
    fair_talk: Conversation, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        fair_talk.connect(**options).default_channel  # noqa: B018
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_celery_app_with_such_an_option_hears_it_when_it_publishes(
    fair_talk: Conversation,
) -> None:
    app = Celery("nonsense", broker=fair_talk.url, set_as_current=False)
    app.conf.broker_transport_options = {"fair_floor": 2}
    with app, pytest.raises(ConfigurationError, match="fair_floor"):
        app.send_task("some.task", ignore_result=True)


def test_options_at_their_bounds_are_taken(fair_talk: Conversation) -> None:
    fair_talk.options |= {"fair_floor": 0, "beat_every": 1, "lost_after": 3}
    fair_talk.options |= {"global_keyprefix": "bounds:"}
    queue = fair_talk.queue()
    fair_talk.say(queue, 1, 2)
    assert take_all(fair_talk, queue) == [1, 2]
