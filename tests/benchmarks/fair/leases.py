"""L: a job that computes under gevent keeps its lease, though no other greenlet runs."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.benchmarks.fair.settings import Row, say
from tests.benchmarks.fair.world import World, until

#: seconds; twice what it takes until a consumer without a beat is lost
_COMPUTES = 60.0


def computing(world: World) -> Iterator[Row]:
    """Run it beside a worker that would take it over, at the pace that is the default."""
    row = Row(f"L  {_COMPUTES:.0f} s of processor in a greenlet: times that it ran", "1")
    with world.arena("fair") as arena:
        arena.submit("compute", ("busy", time.time(), _COMPUTES), "busy")
        arena.start("--pool=gevent", concurrency=4)
        until(lambda: arena.client.hlen(arena.key("infl")) == 1, says="it is leased")
        arena.start("--pool=threads", concurrency=4)
        until(lambda: len(arena.runs()) > 0, says="it has ended")
        until(lambda: arena.left() == 0, says="it is acknowledged")
        times = len(arena.runs())
        row.values["fair"] = str(times)
        row.is_held(times == 1, arena.p95_ping())
    say(f"L, fair: ran {times} times")
    yield row
