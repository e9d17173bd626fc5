"""What a job costs the server while a million wait: of one root, of ten, of many."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from tests.benchmarks.fair.trace import percentile
from tests.benchmarks.scale.load import Consumer, Publisher, roots_of
from tests.benchmarks.scale.server import VERBS, Measured
from tests.benchmarks.scale.settings import (
    CONSUMERS,
    FLAT,
    JOBS,
    LONGEST,
    SHAPES,
    WAITING,
    Row,
    say,
)  # fmt: skip

#: a consumer beats once in so many jobs of all: each every 5 s, at 1,500 jobs a second
_JOBS_A_BEAT = 15


def costs(server: Measured) -> Iterator[Row]:
    """Measure each shape; the rows of memory, processor and time of each verb."""
    over, own = (
        Row("bytes a waiting message beyond its own"),
        Row("bytes of the message itself"),
    )
    spent = Row("ms of the server's processor for a thousand jobs")
    slow = Row(f"calls of more than {LONGEST // 1000} ms", "none")
    cuts = Row("   times that the machine took the processor from it")
    times = {verb: Row(f"{verb}, us: p50 / p99 / max") for verb in VERBS}
    found: dict[int, float] = {}
    for roots in SHAPES:
        server.empty()
        publisher = Publisher(server.url)
        length, beyond = _fill(server, publisher, roots)
        own.values[roots], over.values[roots] = f"{length:.0f}", f"{beyond:.1f}"
        say(f"{roots:,} roots: {beyond:.1f} bytes a message beyond {length:.0f}")
        with _consumers(server.url) as consumers:
            before = server.interruptions()
            found[roots] = _processor(server, publisher, consumers)
            late = _late(server.noted())
            calls = _calls(server, publisher, consumers)
            cuts.values[roots] = str(server.interruptions() - before)
        spent.values[roots] = f"{found[roots]:.0f}"
        late += _late(calls)
        say(f"{roots:,} roots: too slow: {', '.join(late) or 'none'}")
        slow.values[roots], slow.holds = str(len(late)), slow.holds and not late
        for verb, taken in calls.items():
            times[verb].values[roots] = _summary(taken)
            say(f"{roots:,} roots: {verb} {_summary(taken)} us")
    yield from (over, own, spent, _flat(found), *times.values(), slow, cuts)


def _flat(found: dict[int, float]) -> Row:
    ten, many = SHAPES[1], SHAPES[-1]
    ratio = found[many] / found[ten]
    return Row(
        f"   the same, of {many:,} roots / of ten", f"≤ {FLAT}", ratio <= FLAT,
        {many: f"{ratio:.2f}"},
    )  # fmt: skip


def _late(calls: Mapping[str, Sequence[int]]) -> list[str]:
    return [f"{verb} {us} us" for verb, taken in calls.items() for us in taken if us > LONGEST]


def _summary(taken: Sequence[int]) -> str:
    return f"{percentile(taken, 0.5):.0f} / {percentile(taken, 0.99):.0f} / {max(taken)}"


def _fill(server: Measured, publisher: Publisher, roots: int) -> tuple[float, float]:
    before = server.memory()
    length = publisher.fill(roots_of(WAITING, roots))
    return length / WAITING, (server.memory() - before - length) / WAITING


@contextmanager
def _consumers(url: str) -> Iterator[list[Consumer]]:
    """All consumers, each holding a message."""
    with ExitStack() as stack:
        made = [Consumer(url, f"consumer-{number}") for number in range(CONSUMERS)]
        for consumer in made:
            stack.callback(consumer.close)
            consumer.beat()
            consumer.take()
        yield made


def _processor(server: Measured, publisher: Publisher, consumers: Sequence[Consumer]) -> float:
    """ms of processor for a thousand jobs, with only what is too slow being noted."""
    server.note_calls(from_us=LONGEST)
    before = server.processor()
    _work(publisher, consumers)
    return (server.processor() - before) * 1_000 / (JOBS / 1_000)


def _calls(
    server: Measured, publisher: Publisher, consumers: Sequence[Consumer]
) -> dict[str, list[int]]:
    """The microseconds of each call, by verb."""
    server.note_calls(from_us=0)
    _work(publisher, consumers)
    calls = server.noted()
    server.note_calls(from_us=LONGEST)  # what is noted takes memory
    return calls


def _work(publisher: Publisher, consumers: Sequence[Consumer]) -> None:
    """End, publish and take in turns: as much waits and runs as before."""
    chance = random.Random(3)
    for number in range(JOBS):
        consumer = consumers[number % len(consumers)]
        consumer.ack(chance.expovariate(1 / 100))
        publisher.publish(consumer.take())
        if number % _JOBS_A_BEAT == 0:
            consumers[number // _JOBS_A_BEAT % len(consumers)].beat()
