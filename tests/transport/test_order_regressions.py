"""What the scripts once did wrong, by name; here on a server, the model has its own."""

from __future__ import annotations

from itertools import count

import pytest
import redis

from jobmonitor.transport.fair_queue import FairQueue, Taken
from tests.transport.conftest import Clock
from tests.transport.server_state import keys_of

_numbers = count(1)


def publish(queue: FairQueue, root: str, **options: float | None) -> None:
    number = next(_numbers)
    queue.publish(
        f'{{"task": "a", "id": {number}}}', id=f"m{number}", producer="p", number=number,
        root=root, weight=options.get("weight"), due=options.get("due"),
    )  # fmt: skip


def take(queue: FairQueue, consumer: str = "c") -> Taken:
    taken, _ = queue.take(consumer, next(_numbers))
    assert taken is not None
    return taken


def run_one(queue: FairQueue) -> Taken:
    taken = take(queue)
    assert queue.ack("c", taken.lease, 100, root=taken.root, low=taken.low)
    return taken


def tags_of(client: redis.Redis, queue: FairQueue) -> dict[str, float]:
    return dict(client.zrange(f"{queue.base}ring", 0, -1, withscores=True))


def test_a_message_that_is_due_later_keeps_its_weight_over_an_idle_time(
    queue: FairQueue, client: redis.Redis, clock: Clock
) -> None:
    publish(queue, "heavy", weight=4, due=clock.now + 1_000)
    publish(queue, "other")
    assert run_one(queue).root == "other"  # and then nothing waits or runs: all is forgotten
    clock.now += 1_000
    publish(queue, "light")
    for root in ("light", "heavy"):
        publish(queue, root, due=clock.now + 1)
    clock.now += 1
    guess = {taken.root: taken.guess for taken in (take(queue), take(queue))}
    tags = tags_of(client, queue)
    assert round(tags["light"] - guess["light"]) == 0
    assert round(tags["heavy"] - guess["heavy"] / 4) == 0


def test_a_weighted_message_that_is_purged_before_it_is_due_leaves_no_weight(
    queue: FairQueue, client: redis.Redis, clock: Clock
) -> None:
    publish(queue, "heavy", weight=4, due=clock.now + 1_000)
    assert queue.purge() == 1
    assert "weights" not in keys_of(client, queue.base)


def test_a_consumer_that_holds_thousands_can_leave_and_all_goes_back(
    queue: FairQueue, client: redis.Redis
) -> None:
    for _ in range(3_000):
        publish(queue, "big")
    taken = [take(queue) for _ in range(3_000)]
    queue.refresh("c", [(one.lease, 500.0) for one in taken])
    assert queue.leave("c") == 3_000
    assert queue.size() == 3_000
    assert client.hget(f"{queue.base}meta", "inflight") == "0"
    assert take(queue).payload == taken[0].payload


def test_a_script_that_fails_at_a_key_of_another_type_loses_no_message(
    queue: FairQueue, client: redis.Redis, clock: Clock
) -> None:
    """Redis undoes nothing of a script that fails: what holds a message is written first."""
    publish(queue, "a")
    publish(queue, "b", due=clock.now + 1)
    client.set(f"{queue.base}c:c", "of another type")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        queue.take("c", next(_numbers))
    client.delete(f"{queue.base}c:c")
    lease = take(queue)
    client.set(f"{queue.base}r:a", "of another type")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        queue.requeue("c", lease.lease, 1.0)
    client.delete(f"{queue.base}r:a")
    assert queue.requeue("c", lease.lease, 1.0)
    client.set(f"{queue.base}r:b", "of another type")
    clock.now += 1
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        queue.take("c", next(_numbers))
    client.delete(f"{queue.base}r:b")
    assert {take(queue).root, take(queue).root} == {"a", "b"}


def test_a_beat_from_before_the_repeated_answer_does_not_give_the_message_away(
    queue: FairQueue,
) -> None:
    publish(queue, "a")
    first, _ = queue.take("c", 1)
    queue.beat("c", [])  # the answer was lost, so nothing is held
    again, _ = queue.take("c", 1)
    assert again == first
    queue.beat("c", [])  # on its way when the repeated answer came
    assert queue.size() == 0
    assert first is not None
    assert queue.beat("c", [first.lease]) == []


def test_a_queue_that_was_emptied_gives_no_lease_twice(queue: FairQueue, clock: Clock) -> None:
    publish(queue, "before")
    before = take(queue)
    queue.delete()
    clock.now += 1
    publish(queue, "after")
    after = take(queue)
    assert not queue.ack("c", before.lease, 100, root="before", low=False)
    assert queue.beat("c", [after.lease]) == []
    assert queue.ack("c", after.lease, 100, root="after", low=False)
