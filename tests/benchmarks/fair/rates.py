"""G and H: what the order costs in jobs a second and in memory."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import psutil

from jobmonitor.transport.fair_queue import publish_arguments
from jobmonitor.transport.scripts import load, script
from tests.benchmarks.fair.settings import JOBS, ROUNDS, WAITING, Row, say
from tests.benchmarks.fair.world import BASE, Arena, World, until

_LEAST_GAIN = 1.15
_MOST_BYTES = 32.0
_LEAST_OF_TEN = 1 / 1.5
_MANY, _TEN = 100_000, 10
_AT_ONCE = 1_000
_LAST = 50


@dataclass(frozen=True, slots=True)
class Drain:
    """Jobs a second, ms of processor that worker and broker spent on one, and p95 of PING."""

    rate: float
    processor_ms: float
    ping: float


def throughput(world: World) -> Iterator[Row]:
    """G: no-op jobs, two processes, prefetch 1, against plain Celery in turns."""
    for name, root_of in (
        ("one root", lambda number: "one"), ("all-different roots", lambda number: f"r{number}")
    ):  # fmt: skip
        found: dict[str, list[Drain]] = {"plain-1": [], "fair": []}
        for number in range(ROUNDS):
            for kind in sorted(found, reverse=number % 2 == 1):  # neither is always the first
                found[kind].append(_drain_of(world, kind, root_of))
                say(f"G, {name}, round {number + 1}, {kind}: {found[kind][-1].rate:,.0f}/s")
        ratios = [a.rate / b.rate for a, b in zip(found["fair"], found["plain-1"], strict=True)]
        row = Row(f"G  no-op jobs of {name}: fair / plain", f"≥ {_LEAST_GAIN}")
        row.values["fair"] = f"{median(ratios):.2f}"
        row.is_held(median(ratios) >= _LEAST_GAIN, median(one.ping for one in found["fair"]))
        rates, costs = (
            Row("   jobs a second"),
            Row("   ms of processor a job, worker and broker"),
        )
        for kind, drains in found.items():
            rates.values[kind] = f"{median(one.rate for one in drains):,.0f}"
            costs.values[kind] = f"{median(one.processor_ms for one in drains):.2f}"
        yield from (row, _spread(ratios), rates, costs)


def size(world: World) -> Iterator[Row]:
    """H: what many waiting messages take, and whether many roots slow it down."""
    yield from _memory(world)
    yield from _many_roots(world)


def _spread(ratios: list[float]) -> Row:
    return Row("   lowest, highest", values={"fair": f"{min(ratios):.2f}, {max(ratios):.2f}"})


# -- G -----------------------------------------------------------------------------------------


def _drain_of(world: World, kind: str, root_of: Callable[[int], str]) -> Drain:
    with world.arena(kind) as arena:
        arena.fill(("nothing", (number,), root_of(number)) for number in range(JOBS))
        return _drain(world, arena, JOBS - _LAST)


def _drain(world: World, arena: Arena, jobs: int) -> Drain:
    """Measure from the first acks on, until so many are done; the rest still waits."""
    whole = arena.left()
    arena.start(concurrency=2)
    until(lambda: arena.left() < whole - 20, says="the worker has begun")
    pids = [arena.pid, world.broker.pid]
    before, began, spent = arena.left(), time.perf_counter(), _processor(pids)
    until(lambda: arena.left() <= whole - jobs, says="the queue is drained")
    seconds, done = time.perf_counter() - began, before - arena.left()
    spent = _processor(pids) - spent
    return Drain(done / seconds, 1_000 * spent / done, arena.p95_ping())


def _processor(pids: list[int]) -> float:
    """Seconds of processor so far, children included."""
    mains = [psutil.Process(pid) for pid in pids]
    family = [one for main in mains for one in (main, *main.children(recursive=True))]
    return sum(sum(one.cpu_times()[:2]) for one in family)


# -- H -----------------------------------------------------------------------------------------


def _memory(world: World) -> Iterator[Row]:
    row = Row(f"H  {WAITING:,} waiting: bytes a message over its own", f"≤ {_MOST_BYTES:.0f} B")
    length = Row("   bytes of the message itself")
    for kind in ("fair", "plain-1"):
        with world.arena(kind) as arena:
            stored, over = _bytes_a_message(arena)
            row.values[kind], length.values[kind] = f"{over:.1f}", f"{stored:.0f}"
            if kind == "fair":
                row.is_held(over <= _MOST_BYTES, arena.p95_ping())
        say(f"H, {kind}: {over:.1f} bytes a message over {stored:.0f}")
    yield from (row, length)


def _bytes_a_message(arena: Arena) -> tuple[float, float]:
    """Bytes of a message as Celery wrote it, and what the server's memory grew by beyond."""
    copies = _Copies(arena)
    before, stored = _used(arena), 0
    for at in range(0, WAITING, _AT_ONCE):
        stored += copies.publish(["one"] * min(_AT_ONCE, WAITING - at))
    return stored / WAITING, (_used(arena) - before - stored) / WAITING


def _used(arena: Arena) -> int:
    """The server's memory without its buffers for clients and for its log."""
    arena.client.config_set("appendonly", "no")
    found: Any = arena.client.info("memory")
    return int(found["used_memory"]) - sum(
        int(found[name]) for name in ("mem_clients_normal", "mem_aof_buffer")
    )


def _many_roots(world: World) -> Iterator[Row]:
    found: dict[int, list[Drain]] = {_TEN: [], _MANY: []}
    for number in range(ROUNDS):
        for roots in sorted(found, reverse=number % 2 == 1):
            found[roots].append(_drain_among(world, roots))
            say(f"H, {roots:,} roots: {found[roots][-1].rate:,.0f}/s")
    ratios = [a.rate / b.rate for a, b in zip(found[_MANY], found[_TEN], strict=True)]
    row = Row(f"   no-op jobs of {_MANY:,} roots / of ten", f"≥ {_LEAST_OF_TEN:.2f}")
    row.values["fair"] = f"{median(ratios):.2f}"
    row.is_held(
        median(ratios) >= _LEAST_OF_TEN, median(one.ping for one in found[_MANY] + found[_TEN])
    )
    rates = Row("   jobs a second, of ten roots / of many")
    costs = Row("   ms of processor a job, the same")
    each = found.values()
    rates.values["fair"] = " / ".join(f"{median(d.rate for d in one):,.0f}" for one in each)
    costs.values["fair"] = " / ".join(
        f"{median(d.processor_ms for d in one):.2f}" for one in each
    )
    yield from (row, _spread(ratios), rates, costs)


def _drain_among(world: World, roots: int) -> Drain:
    """The same number of messages wait, and the same number is drained, of so many roots."""
    with world.arena("fair") as arena:
        copies = _Copies(arena)
        for at in range(0, _MANY, _AT_ONCE):
            copies.publish([f"r{number % roots}" for number in range(at, at + _AT_ONCE)])
        return _drain(world, arena, JOBS)


class _Copies:
    """Publishes copies of one message of Celery, each with ids of its own.

    For a million, Celery itself would take minutes. The fair ones go through the script of
    our publisher, the others by LPUSH, as kombu does.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._fair = arena.kind == "fair"
        arena.submit("nothing", (1,), "one")
        key = f"{BASE}r:one" if self._fair else "celery"
        element: Any = arena.client.lindex(key, 0)
        text = element.decode()
        self._text = text.split("\n", 1)[1] if self._fair else text
        message = json.loads(self._text)
        self._ids = (message["headers"]["id"], str(message["properties"]["delivery_tag"]))
        self._producer, self._number = uuid.uuid4().hex, 0
        arena.client.execute_command("FLUSHDB", "SYNC")
        load(arena.client)

    def publish(self, roots: list[str]) -> int:
        """Publish one for each of these roots; the bytes of the messages."""
        length = 0
        with self._arena.client.pipeline(transaction=False) as pipe:
            for root in roots:
                self._number += 1
                id = f"{self._producer}-{self._number}"
                text = self._text.replace(self._ids[0], str(uuid.UUID(int=self._number)))
                text = text.replace(self._ids[1], id)
                length += len(text)
                if self._fair:
                    arguments = publish_arguments(
                        text, id=id, producer=self._producer, number=self._number, root=root,
                        again=False, low=False, step=0, weight=None, due=None,
                    )  # fmt: skip
                    pipe.fcall(script("publish").name, 1, BASE, *arguments)
                else:
                    pipe.lpush("celery", text)
            pipe.execute()
        return length
