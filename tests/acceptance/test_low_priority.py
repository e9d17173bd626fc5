"""Low priority: the lowest message priority, while a job waits."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from tests.waiting import eventually
from tests.workers import Worker

Trace = Callable[[], list[str]]


def test_low_priority_jobs_run_after_the_others(
    shop: ModuleType, start_worker: Callable[..., Worker], trace: Trace
) -> None:
    for number in range(3):
        shop.traced.apply_async((f"low {number}",), low_priority=True)
    changed = shop.traced.delay("set low while it waited")
    back = shop.traced.apply_async(("taken back",), low_priority=True)
    shop.monitor.jobs.set_low_priority(changed.id)
    shop.monitor.jobs.remove_low_priority(back.id)
    for number in range(3):
        shop.traced.delay(f"normal {number}")
    start_worker(concurrency=1)
    eventually(lambda: len(trace()) == 8, within=15)
    assert set(trace()[:4]) == {"taken back", "normal 0", "normal 1", "normal 2"}
    assert set(trace()[4:]) == {"low 0", "low 1", "low 2", "set low while it waited"}
    assert shop.monitor.jobs.get(changed.id).attempt == 1


def test_low_priority_reaches_waiting_children_and_those_submitted_afterwards(
    shop: ModuleType, start_worker: Callable[..., Worker]
) -> None:
    start_worker(concurrency=1)
    jobs = shop.monitor.jobs
    top = shop.fan_out.delay(40, 0.05)
    eventually(lambda: jobs.get(top.id).children.total > 5)
    jobs.set_low_priority(top.id)
    eventually(lambda: jobs.get(top.id).children.finished == 40, within=20)
    flags = [node.job.low_priority for node in jobs.tree(top.id) if node.depth]
    assert flags == [True] * 40
