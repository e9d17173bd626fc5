"""Stories of where a message goes and how it is written: what both worlds are to say alike.

In the adopted world each job is run a second time, from the message that is kept of it: it says
the same again.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from celery import signals
from celery.result import AsyncResult
from kombu import Exchange, Queue

from tests.waiting import eventually

_LONG = 20


def _said(shop: Any, result: AsyncResult) -> Any:
    """What a task returned, the same in each run of its job."""
    try:
        first = result.get(_LONG)
    except Exception as error:
        raise TimeoutError(result.id) from error
    if shop.ADOPTED:
        jobs = shop.monitor.jobs
        [outcome] = [jobs.wait_for(result.id), *jobs.restart(result.id)][1:]
        assert outcome.changed, outcome
        jobs.wait_for(result.id, timeout=_LONG)
        again = jobs.get(result.id)
        assert (again.run, again.has_errors) == (2, False), again
        second = eventually(lambda: shop.app.AsyncResult(result.id).result, within=_LONG)
        assert second == first, (first, second)
    return first


def routed_by_the_app(shop: Any) -> Any:
    calls = {
        "by-default": shop.anywhere.apply_async(task_id="by-default"),
        "by-name": shop.routed_by_name.apply_async(task_id="by-name"),
        "by-glob": shop.routed_by_glob.apply_async(task_id="by-glob"),
        "by-function": shop.anywhere.apply_async(
            kwargs={"where": "function"}, task_id="by-function"
        ),
        "by-task": shop.routed_by_task.apply_async(task_id="by-task"),
    }
    return {name: _said(shop, result) for name, result in calls.items()}


def routed_by_the_call(shop: Any) -> Any:
    topic = {"exchange": "topic_exchange", "routing_key": "shop.orders.new"}
    calls = {
        "to-a-queue": {"queue": "by_name", "priority": 6},
        "to-a-queue-object": {"queue": Queue("by_glob")},
        "to-an-exchange": {"exchange": "own_exchange", "routing_key": "own.key"},
        "to-an-exchange-object": {
            "exchange": Exchange("own_exchange"),
            "routing_key": "own.key",
        },
        "to-a-queue-of-its-own": {"queue": "own"},
        "to-a-topic-queue": {"queue": "topics", "routing_key": "shop.returns"},
        "to-a-topic": topic | {"exchange_type": "topic"},
        "to-another-worker": {"queue": "second", "message_id": "mine"},
    }
    results = {
        name: shop.anywhere.apply_async(task_id=name, **options)
        for name, options in calls.items()
    }
    return {name: _said(shop, result) for name, result in results.items()}


def a_queue_that_is_missing(shop: Any) -> Any:
    shop.anywhere.apply_async(queue="brand_new", task_id="to-a-new-queue")
    with shop.app.connection_for_write() as connection:
        waiting = connection.default_channel._size("brand_new")
    shop.app.conf.task_create_missing_queues = False
    queues = shop.app.amqp.queues
    queues.create_missing, before = False, queues.create_missing
    try:
        shop.anywhere.apply_async(queue="never_heard_of", task_id="nowhere")
    except Exception as error:
        return [waiting, type(error).__name__, str(error)]
    finally:
        shop.app.conf.task_create_missing_queues = True
        queues.create_missing = before


def a_queue_that_goes_to_every_worker(shop: Any) -> Any:
    known = [Exchange("everybody", type="fanout")]
    shop.everywhere.apply_async(("all",), queue="everybody", task_id="to-all", declare=known)
    eventually(lambda: len(shop.traced("all")) >= 2, within=_LONG)
    return sorted(shop.traced("all"))


def written_in_many_ways(shop: Any) -> Any:
    values = [
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), date(2026, 1, 2), Decimal("1.50"),
        UUID(int=7), "é\u2028", {"deep": [1, {"x": None}]},
    ]  # fmt: skip
    told = [_said(shop, shop.told.delay(value)) for value in values]
    odd = [{1, 2}, timedelta(days=1), 1j, b"\x00\xff"]
    told += [_said(shop, shop.pickled.delay(value)) for value in odd]
    told.append(_said(shop, shop.told.apply_async(({3},), serializer="pickle")))
    told.append(_said(shop, shop.told.apply_async(("Mixed",), serializer="yaml")))
    told.append(_said(shop, shop.told.apply_async(("Mixed",), serializer="shouted")))
    for compression in ("zlib", "bzip2"):
        told.append(_said(shop, shop.told.apply_async(("x" * 999,), compression=compression)))
    return told


def what_cannot_be_written(shop: Any) -> Any:
    told = []
    for options in ({}, {"serializer": "yaml"}, {"serializer": "unheard"}):
        try:
            shop.told.apply_async((object,), task_id="unwritten", **options)
        except Exception as error:
            told.append(type(error).__name__)
    return told


def changed_on_the_way(shop: Any) -> Any:
    tenants = iter(["north", "the panel's"])

    def mutate(headers: Any = None, body: Any = None, **_: Any) -> None:
        headers["tenant"] = next(tenants)
        body[1]["added"] = headers["tenant"]
        body[0][0].append("more")

    signals.before_task_publish.connect(mutate, sender="styles.told_on_the_way")
    try:
        result = shop.told_on_the_way.apply_async((["one"],), task_id="changed-on-the-way")
        return _said(shop, result)
    finally:
        signals.before_task_publish.disconnect(mutate, sender="styles.told_on_the_way")


def sent_by_a_producer_that_knows_nothing_of_us(shop: Any) -> Any:
    code = (
        "from celery import Celery;"
        f"app = Celery(broker={shop.app.conf.broker_url!r});"
        "app.send_task('styles.told_on_the_way', (['one'], ), task_id='foreign', priority=7,"
        "headers={'tenant': 'afar'}, queue='by_name');"
        "app.send_task('styles.told', ({5},), task_id='foreign-pickle', serializer='pickle')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    results = [shop.app.AsyncResult(name) for name in ("foreign", "foreign-pickle")]
    return [_said(shop, result) for result in results]
