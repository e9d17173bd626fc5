"""Queues and workers as they are seen while real workers run, and a queue that is paused."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from jobmonitor.insight import Queue, Worker
from tests.waiting import eventually
from tests.workers import Worker as Process

Trace = Callable[[], list[str]]


def seen(shop: ModuleType, process: Process) -> Worker:
    """The worker as the insight shows it."""
    [found] = [w for w in shop.monitor.insight.workers() if w.node == f"{process.name}@test"]
    return found


def default_queue(shop: ModuleType) -> Queue:
    [found] = [queue for queue in shop.monitor.insight.queues() if queue.name == "celery"]
    return found


def test_what_runs_waits_and_was_received_is_seen_and_a_pause_lets_nothing_begin(
    shop: ModuleType, start_worker: Callable[..., Process], trace: Trace
) -> None:
    process = start_worker(concurrency=2)
    insight, jobs = shop.monitor.insight, shop.monitor.jobs
    long = [shop.count.apply_async((400, 0.05), label=f"long {n}").id for n in range(2)]
    eventually(lambda: seen(shop, process).running == 2, within=20)
    eventually(lambda: all(job.status == "running" for job in seen(shop, process).jobs))
    worker = seen(shop, process)
    assert {(job.id, job.label) for job in worker.jobs} == {
        (long[0], "long 0"), (long[1], "long 1"),
    }  # fmt: skip
    assert (worker.slots, worker.queues, worker.lives) == (2, ("celery",), True)

    waiting = [shop.traced.delay(f"behind {number}").id for number in range(3)]
    eventually(lambda: default_queue(shop).capacity == 2, within=10)
    queue = default_queue(shop)
    assert (queue.running, queue.waiting, queue.roots) == (2, 3, 3)
    [shares] = insight.shares("celery")
    assert {root.root_id for root in shares.roots} == {*long, *waiting}
    assert [root.root_id for root in shares.roots if root.position] == waiting

    assert insight.pause("celery") is True
    jobs.stop(long)
    eventually(lambda: seen(shop, process).running == 0, within=20)
    received = [
        root.last_hour.received_seconds > 0
        for root in insight.shares("celery")[0].roots
        if root.root_id in long
    ]
    assert all(received)
    paused = default_queue(shop)
    assert (paused.waiting, paused.running, paused.paused_at is not None) == (3, 0, True)
    shop.traced.delay("published meanwhile")
    eventually(lambda: default_queue(shop).waiting == 4)
    assert not [line for line in trace() if not line.startswith("count")]

    assert insight.unpause("celery") is True
    eventually(lambda: jobs.get(waiting[-1]).status == "finished", within=20)
    eventually(lambda: default_queue(shop).waiting == 0, within=20)
    eventually(lambda: "published meanwhile" in trace(), within=20)
