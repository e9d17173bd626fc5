"""The Lua scripts of the fair transport do what the model says, to the last bit.

A state machine does to a real server and to the model in Python what producers and consumers
do, and compares answers and the whole state after every step. The clock is passed in.
`make soak-transport` lets it search further than a test run does.
"""

from __future__ import annotations

import os

import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.transport.order_machine import OrderMachine

MORE = os.environ.get("JOBMONITOR_ORDER_EXAMPLES")
PARTS = 2
#: a test run searches the same examples each time and shows a failure as it met it; a longer
#: search takes new ones and looks for the smallest
PROFILE = settings(
    max_examples=int(MORE or 500) // PARTS,
    stateful_step_count=40,
    phases=[Phase.generate, *([Phase.shrink] if MORE else [])],
    database=None,
    print_blob=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# In parts, so that the processes of a search share it.
@pytest.mark.timeout(0 if MORE else 300)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_scripts_and_the_model_agree_whatever_happens(
    client: redis.Redis, part: int
) -> None:
    def begin() -> OrderMachine:
        return OrderMachine(client)

    start = seed(int.from_bytes(os.urandom(8)) if MORE else part)
    run_state_machine_as_test(start(begin), settings=PROFILE)
