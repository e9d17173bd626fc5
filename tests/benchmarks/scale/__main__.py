"""Measure the server alone, without workers; the exit code says whether a bound was missed.

With a million messages waiting of one root, of ten, and of a hundred thousand: the time of each
call of take, ack, publish and beat as the server's slow log has it, the server's processor for
a job (a publish, a take, an ack, and the beats meanwhile), the memory of what waits. 500
consumers hold one message each, on connections of their own. Then the ceiling of one queue:
take and ack in pipelines from a few processes.

BENCH_WAITING (1,000,000), BENCH_CONSUMERS (500), BENCH_JOBS (20,000), BENCH_SECONDS (8) and
BENCH_PROCESSES (4) make it smaller.
"""

from __future__ import annotations

import sys
import time

from tests.benchmarks.scale.ceiling import ceiling
from tests.benchmarks.scale.server import measured
from tests.benchmarks.scale.settings import SHAPES, Row, say
from tests.benchmarks.scale.shapes import costs


def main() -> int:
    """Measure, print the table; 1 where a bound was missed."""
    began = time.monotonic()
    with measured() as server:
        rows = [*costs(server), *ceiling(server)]
    say(f"{time.monotonic() - began:.0f} s")
    print_table(rows)
    return 0 if all(row.holds for row in rows) else 1


def print_table(rows: list[Row]) -> None:
    """Print it: what, by the number of roots, bound."""
    heads = "".join(f"{roots:>18,}" for roots in SHAPES)
    print(f"{'roots':52}{heads}   bound")  # noqa: T201
    for row in rows:
        cells = "".join(f"{row.values.get(roots, ''):>18}" for roots in SHAPES)
        line = f"{row.name:52}{cells}   {row.bound}"
        print(f"{line.rstrip()}{'' if row.holds else '   MISSED'}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
