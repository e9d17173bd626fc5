"""Measure the fair order, print the table; the exit code says whether a bound was missed.

A one job of a root behind 100,000 children · B beside 100 busy roots · C costs 10 : 1 ·
D costs 100 : 1 · E lognormal costs · F a flood of new roots · G no-op jobs, fair / plain ·
H a million waiting, 100,000 roots · I low work beside normal traffic · L a lease under gevent.
A to F and I are real workers with 16 threads and jobs that sleep. A to F stand against the
same transport charging by count and plain Celery at prefetch 1 and 4, whose backlogs are
smaller: they only show the order of magnitude. I stands against itself: no low work, our gate
as it is, and the low class merely strict, with no slots kept free and no calm; its waits are
in jobs of 100 ms, and include what it takes to publish, wake and start.

BENCH_ONLY=A,C and BENCH_KINDS=fair,count choose; BENCH_SCALE (1.0) makes the windows of A to F
and I shorter, BENCH_BACKLOG (100,000) A, BENCH_JOBS (4,000) and BENCH_ROUNDS (5) G and H,
BENCH_WAITING (1,000,000) H. Where the machine is busy otherwise, see the PING of a run first.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from tests.benchmarks.fair import leases, low, rates, shares, starts
from tests.benchmarks.fair.settings import ONLY, Row, say
from tests.benchmarks.fair.world import World, world

SCENARIOS: dict[str, Callable[[World], Iterator[Row]]] = {
    "A": starts.behind_children,
    "B": starts.beside_busy_roots,
    "C": shares.ten_to_one,
    "D": shares.hundred_to_one,
    "E": shares.lognormal,
    "F": shares.flood,
    "G": rates.throughput,
    "H": rates.size,
    "I": low.beside_normal,
    "L": leases.computing,
}

HEADS = {"fair": "by time", "count": "by count", "plain-1": "plain, 1", "plain-4": "plain, 4"}


def main() -> int:
    """Run what was chosen, print the table; 1 where a bound was missed."""
    warnings.simplefilter("ignore")
    began, rows = time.monotonic(), []
    with world() as servers:
        for name in ONLY:
            rows += SCENARIOS[name](servers)
    say(f"{time.monotonic() - began:.0f} s")
    print_table(rows)
    return 0 if all(row.holds for row in rows) else 1


def print_table(rows: list[Row]) -> None:
    """Print it: what, by kind or by policy, bound, PING."""
    for columns, group in groupby(rows, key=lambda row: row.columns):
        heads = "".join(f"{HEADS.get(column, column):>15}" for column in columns)
        print(f"{'':64}{heads:60}   p95 of PING   bound")  # noqa: T201
        print_rows(group)


def print_rows(rows: Iterable[Row]) -> None:
    """Print lines that have the same columns."""
    for row in rows:
        cells = "".join(f"{row.values.get(column, ''):>15}" for column in row.columns)
        ping = f"{row.ping:8.2f} ms" if row.bound else ""
        line = f"{row.name:64}{cells:60}   {ping:11}   {row.bound}"
        print(f"{line.rstrip()}{'' if row.holds else '   MISSED'}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
