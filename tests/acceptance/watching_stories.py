"""Stories of who watches tasks: signals, events, inspection; both worlds are to say alike."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from tests.waiting import eventually

_LONG = 20
_MAIN, _CHILD = "MainProcess", "ForkPoolWorker"
_events: list[dict[str, Any]] = []
_listening = threading.Event()


def _listen(shop: Any) -> None:
    def receive() -> None:
        with shop.app.connection_for_read() as connection, suppress(OSError):
            receiver = shop.app.events.Receiver(connection, handlers={"*": _events.append})
            with receiver.consumer_context():
                _listening.set()
                receiver.capture(limit=None, timeout=None, wakeup=False)

    threading.Thread(target=receive, daemon=True).start()
    assert _listening.wait(_LONG)
    with shop.app.events.default_dispatcher() as dispatcher:

        def is_heard() -> bool:
            dispatcher.send("task-probe")
            return bool(_events)

        eventually(is_heard, within=_LONG, every=0.2)


def _heard(shop: Any, task_id: str, kind: str, last: str) -> list[Any]:
    lines = eventually(
        lambda: next(
            (lines for lines in [shop.traced(f"{task_id} {kind}")]
             if last in [line[0] for line in lines]), None,
        ), within=_LONG, says=f"{last} of {task_id}",
    )  # fmt: skip
    return lines  # type: ignore[no-any-return]


def signals_of_each_way_to_end(shop: Any) -> Any:
    _listen(shop)
    told = []
    ways = {"well": shop.echo, "badly": shop.fail, "ignore": shop.leave, "reject": shop.leave}
    for word, task in ways.items():
        task.apply_async((word,), task_id=f"signal-{word}")
        told.append(_heard(shop, f"signal-{word}", _CHILD, "task_postrun"))
    shop.noisy.apply_async(("again",), task_id="signal-again")
    _heard(shop, "signal-again", _CHILD, "task_success")
    # ours is published when the attempt has ended, behind the signal instead of before it
    told.append(sorted(_heard(shop, "signal-again", _CHILD, "task_retry"), key=repr))
    for word in (*ways, "again"):
        told.append(_heard(shop, f"signal-{word}", _MAIN, "task_received"))
        told.append(_heard(shop, f"signal-{word}", "Teller", "after_task_publish"))
    return told


def signals_of_what_never_runs(shop: Any) -> Any:
    shop.echo.apply_async(("x",), countdown=0.5, expires=0.1, task_id="signal-expired")
    revoked = shop.echo.apply_async(("x",), countdown=1, task_id="signal-revoked")
    revoked.revoke()
    # on the fair transport what is not due has not been received: it waits in Redis
    told = [
        [
            line
            for line in _heard(shop, name, _MAIN, "task_revoked")
            if line[0] != "task_received"
        ]
        for name in ("signal-expired", "signal-revoked")
    ]
    with shop.app.producer_or_acquire(None) as producer:
        message = shop.app.amqp.create_task_message("signal-unknown", "styles.never", (), {})
        headers = message.headers | {"jobmonitor": {"dispatch": 1}} if shop.ADOPTED else {}
        producer.publish(
            message.body, routing_key="celery", serializer="json",
            headers=message.headers | headers, **message.properties,
        )  # fmt: skip
        told.append(_heard(shop, "signal-unknown", _MAIN, "task_unknown")[-1][:2])
        producer.publish({"no": "task"}, routing_key="celery", serializer="json")
    told.append(_heard(shop, "None", _MAIN, "task_rejected"))
    return told


def events_of_each_way_to_end(shop: Any) -> Any:
    told: dict[str, Any] = {}
    last = {"signal-well": "task-succeeded", "signal-badly": "task-failed",
            "signal-ignore": "task-started", "signal-again": "task-succeeded",
            "signal-expired": "task-revoked", "signal-revoked": "task-revoked",
            "signal-reject": "task-failed"}  # fmt: skip
    for name, ending in last.items():
        own = eventually(lambda name=name, ending=ending: _of(name, ending), within=_LONG,
                         says=f"{ending} of {name}: {_events}")  # fmt: skip
        if name == "signal-again":  # an attempt of ours never overlaps the one before it
            own = sorted(own, key=lambda event: str(event["type"]))
        if ending == "task-revoked":  # see signals_of_what_never_runs
            own = [event for event in own if event["type"] != "task-received"]
        told[name] = {
            sender: [
                (event["type"], sorted(event)) for event in own if _sender(event) == sender
            ]
            for sender in ("worker", "other")
        }
    return told


def _of(name: str, ending: str) -> list[dict[str, Any]]:
    own = [event for event in list(_events) if event.get("uuid") == name]
    return own if any(event["type"] == ending for event in own) else []


def _sender(event: dict[str, Any]) -> str:
    return "worker" if event["hostname"].startswith("same") else "other"


def inspected(shop: Any) -> Any:
    marker = shop.TRACE.with_suffix(".go")
    inspect = shop.app.control.inspect(["same0@test"], timeout=10)
    running = shop.wait.apply_async(
        (str(shop.TRACE.with_suffix(".go")),), task_id="inspected", shadow="Other"
    )
    eventually(lambda: any((inspect.active() or {}).values()), within=_LONG)
    told = {
        "active": inspect.active(), "reserved": inspect.reserved(),
        "registered": inspect.registered("rate_limit"),
        "query": inspect.query_task("inspected", "never"),
        "queues": inspect.active_queues(), "stats": inspect.stats(), "ping": inspect.ping(),
        "revoked": inspect.revoked(),
    }  # fmt: skip
    marker.touch()
    running.get(_LONG)
    return _only_what_is_the_same(told)


def _only_what_is_the_same(said: Any) -> Any:
    """Leave out what differs from start to start: times, processes, random names."""
    varying = {"time_start", "worker_pid", "eta", "delivery_tag", "broker", "rusage", "pid",
               "uptime", "total", "clock", "processes", "writes", "prefetch_count"}  # fmt: skip
    if isinstance(said, dict):
        return {name: _only_what_is_the_same(value) for name, value in said.items()
                if name not in varying}  # fmt: skip
    if isinstance(said, list):
        return [_only_what_is_the_same(item) for item in said]
    if isinstance(said, str) and said.endswith(".go"):
        return "a file"
    return "bcast" if isinstance(said, str) and said.startswith("bcast.") else said
