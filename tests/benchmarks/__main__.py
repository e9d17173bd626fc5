"""Measure everything and print the table; the exit code says whether a bound was missed.

BENCH_JOBS (10,000) and BENCH_ROUNDS (5) make it shorter. What is compared is measured in turns,
and a ratio is the median of the ratios of the rounds: the machine may be busy otherwise.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from tests.benchmarks.drain import Drain, drain
from tests.benchmarks.inside import checkpoint_us, memory_mb
from tests.benchmarks.submit import children, one_by_one
from tests.benchmarks.world import World, world

JOBS = int(os.environ.get("BENCH_JOBS", 10_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
Row = tuple[str, str, str, bool]


def drains(servers: World, task: str, kinds: list[str], jobs: int) -> dict[str, list[Drain]]:
    """Drain in turns, kind by kind, round by round."""
    found: dict[str, list[Drain]] = {kind: [] for kind in kinds}
    for number in range(ROUNDS):
        for kind in kinds:
            one = drain(servers, kind, task, jobs)
            found[kind].append(one)
            say(f"round {number + 1}, {task}, {kind}: {one.rate:,.0f}/s")
    return found


def nothing_rows(servers: World) -> Iterator[Row]:
    """Jobs that do nothing: plain, with the record one has today, with jobmonitor."""
    found = drains(servers, "nothing", ["plain", "recorded", "jobmonitor"], JOBS)
    names = {
        "plain": "a  plain Celery, no results",
        "recorded": "b  SQLAlchemy backend, events",
        "jobmonitor": "c  jobmonitor, fair transport",
    }
    for kind, runs in found.items():
        rate = median(one.rate for one in runs)
        worker, database = (
            median(one.worker_ms for one in runs), median(one.postgres_ms for one in runs)
        )  # fmt: skip
        costs = f"{worker:.2f} + {database:.2f} ms of processor (worker + Postgres)"
        yield names[kind], f"{rate:,.0f}/s", costs, True
    yield ratio("c / a, no-op", found, "jobmonitor", "plain", 0.80)
    yield ratio("c / b, no-op", found, "jobmonitor", "recorded", 2.5)


def five_ms_rows(servers: World) -> Iterator[Row]:
    """Jobs that wait 5 ms."""
    found = drains(servers, "five_ms", ["plain", "jobmonitor"], max(JOBS * 3 // 10, 1))
    yield ratio("c / a, 5 ms", found, "jobmonitor", "plain", 0.95)


def ratio(name: str, found: dict[str, list[Drain]], over: str, under: str, least: float) -> Row:
    """The median of the rounds' ratios against its bound."""
    each = [c.rate / a.rate for c, a in zip(found[over], found[under], strict=True)]
    value = median(each)
    spread = f"≥ {least:.2f}; rounds {min(each):.2f} to {max(each):.2f}"
    return name, f"{value:.2f}", spread, value >= least


def submit_rows(servers: World) -> Iterator[Row]:
    """One job, and children in bulk."""
    pairs = [
        (one_by_one(servers, "plain", 1_000), one_by_one(servers, "jobmonitor", 1_000))
        for _ in range(ROUNDS)
    ]
    value = median(ours / plain for plain, ours in pairs)
    costs = f"≤ 2.5; {median(a for a, _ in pairs):.2f} and {median(c for _, c in pairs):.2f} ms"
    yield "delay(), c / a", f"{value:.2f}", costs, value <= 2.5
    runs = [children(servers, JOBS) for _ in range(ROUNDS)]
    for name, least in (("group", 2.0), ("submit_many", 4.0)):
        faster = median(one.loop / getattr(one, name) for one in runs)
        took = f"≥ {least:g}; {median(getattr(one, name) for one in runs):.3f} ms a child"
        yield f"{JOBS:,} children, {name}", f"{faster:.1f} times", took, faster >= least


def inside_rows(servers: World) -> Iterator[Row]:
    """A checkpoint, and memory."""
    step = median(checkpoint_us(1_000_000) for _ in range(ROUNDS))
    yield "checkpoint(), nothing due", f"{step:.2f} µs", "≤ 2 µs", step <= 2
    pairs = [
        (memory_mb(servers, "plain", 200), memory_mb(servers, "jobmonitor", 200))
        for _ in range(ROUNDS)
    ]
    value = median(ours / plain for plain, ours in pairs)
    costs = (
        f"≤ 1.25; {median(a for a, _ in pairs):.0f} and {median(c for _, c in pairs):.0f} MB"
    )
    yield "memory of a worker, c / a", f"{value:.2f}", costs, value <= 1.25


def round_trips(servers: World) -> str:
    """The 95th percentiles of SELECT 1 and PING, to read the rest by."""
    url = make_url(servers.postgres.url).set(drivername="postgresql")
    with (
        psycopg.connect(url.render_as_string(False), autocommit=True) as connection,
        servers.client("plain") as client,
    ):
        select = _p95(lambda: connection.execute("SELECT 1"))
        ping = _p95(client.ping)
    return f"p95 of SELECT 1: {select:.2f} ms, of PING: {ping:.2f} ms"


def _p95(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(500):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return 1_000 * sorted(taken)[475]


def say(text: str) -> None:
    """Tell how far it is, beside the table."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def main() -> int:
    """Run all, print the table; 1 where a bound was missed."""
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    with world() as servers:
        for measure in (nothing_rows, five_ms_rows, submit_rows, inside_rows):
            rows += measure(servers)
        trips = round_trips(servers)
    print(f"{JOBS:,} jobs, two processes, medians of {ROUNDS} rounds in turns; {trips}\n")  # noqa: T201
    for name, value, more, holds in rows:
        print(f"{name:32} {value:>9}   {more}{'' if holds else '   MISSED'}")  # noqa: T201
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
