"""How many jobs a second one queue gives: take and ack from several processes, in pipelines."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import redis

from jobmonitor.transport.fair_queue import (
    FairQueue,
    ack_arguments,
    take_arguments,
    taken_of,
)  # fmt: skip
from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.scripts import script
from tests.benchmarks.scale.load import QUEUE, Publisher, roots_of
from tests.benchmarks.scale.server import Measured
from tests.benchmarks.scale.settings import PROCESSES, SECONDS, WAITING, Row, say

_AT_ONCE = 50
_ROOTS = 1_000
#: jobs a second; more than there can be
_MOST = 40_000
#: the share of one processor from which on the server cannot do more
_SATURATED = 0.95


def ceiling(server: Measured) -> Iterator[Row]:
    """Add processes until the server has no processor left, or there are enough."""
    backlog = min(WAITING, int(SECONDS * _MOST))
    best, row = 0.0, Row("jobs a second of one queue, most")
    share = Row("   share of a processor that the server had then")
    for processes in range(1, PROCESSES + 1):
        server.empty()
        Publisher(server.url).fill(roots_of(backlog, _ROOTS))
        rate, busy = _rate(server, processes)
        say(f"{processes} processes: {rate:,.0f} jobs/s at {busy:.0%} of a processor")
        if rate > best:
            best, row.values[1], share.values[1] = rate, f"{rate:,.0f}", f"{busy:.2f}"
        if busy >= _SATURATED:
            break
    yield from (row, share)


def _rate(server: Measured, processes: int) -> tuple[float, float]:
    """Jobs a second of so many processes, and the share of a processor of the server."""
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned) as pool:
        starts = time.time() + 2.0  # they need a while to begin
        drains = [
            pool.submit(drain, server.url, f"drain-{number}", starts, SECONDS)
            for number in range(processes)
        ]
        time.sleep(max(starts - time.time(), 0))
        spent = server.processor()
        time.sleep(SECONDS)
        spent = server.processor() - spent
        done = sum(one.result() for one in drains)
    return done / SECONDS, spent / SECONDS


def drain(url: str, consumer: str, starts: float, seconds: float) -> int:
    """Take and ack for a while; how many that were."""
    time.sleep(max(starts - time.time(), 0))
    done = request = 0
    with redis.Redis.from_url(url) as client:
        base = FairQueue(client, QUEUE).base
        while time.time() < starts + seconds:
            with client.pipeline(transaction=False) as pipe:
                for _ in range(_AT_ONCE):
                    request += 1
                    arguments = take_arguments(consumer, request, 0.05, LowGate())
                    pipe.fcall(script("take").name, 1, base, *arguments)
                replies = [taken_of(reply)[0] for reply in pipe.execute()]
                taken = [one for one in replies if one is not None]
                if not taken:
                    raise RuntimeError("the backlog did not last: more BENCH_WAITING")
                for one in taken:
                    arguments = ack_arguments(consumer, one.lease, 10.0, one.root, one.low)
                    pipe.fcall(script("ack").name, 1, base, *arguments)
                pipe.execute()
            done += len(taken)
    return done
