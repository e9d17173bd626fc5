"""W20: a worker whose clock is wrong takes nobody's messages and runs nothing too early."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.transport.world import World
from tests.workers import IMPORTS, stop_all

HOUR = 3600
#: Python runs such a file before anything else
WRONG_CLOCK = """
import time
rightly, wrongly = time.time, time.time_ns
time.time = lambda: rightly() + {offset}
time.time_ns = lambda: wrongly() + {offset} * 10**9
"""


@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_w20_a_worker_whose_clock_is_an_hour_off_gives_back_nobodys_messages(
    world: World, tmp_path: Path, offset: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WRONG_CLOCK.format(offset=offset))
    queue, mine = f"clock{offset}", f"mine{offset}"
    world.publish("hold", f"{queue}-held", queue=queue)
    right = world.start(queue, concurrency=1)
    world.has_begun(f"{queue}-held")
    imports = os.pathsep.join([str(tmp_path), IMPORTS])
    wrong = world.start(f"{queue},{mine}", concurrency=1, PYTHONPATH=imports)
    world.serves(mine, f"{mine}-first")
    for where in (queue, mine):
        world.publish("nap", f"{where}-due", queue=where, countdown=6)
    world.beats(queue, world.options["lost_after"])
    assert world.runs(f"{mine}-due") == []
    world.beats(queue, world.options["lost_after"])
    assert sum(world.leases(queue).values()) == 1
    world.release(f"{queue}-held")
    world.check(queue, once=(f"{queue}-held", f"{queue}-due"))
    world.check(mine, once=(f"{mine}-first", f"{mine}-due"))
    assert stop_all(right, wrong) == [0, 0]
