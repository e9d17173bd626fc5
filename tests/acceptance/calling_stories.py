"""Stories of how a task is called: what both worlds are to say alike."""

from __future__ import annotations

import datetime
from typing import Any

from celery import chain, group, signature

from tests.waiting import eventually

_LONG = 20


def _trace(shop: Any, key: str, last: str) -> list[Any]:
    """The lines of a key, once the last one is there."""
    eventually(lambda: any(line[0] == last for line in shop.traced(key)), within=_LONG)
    return shop.traced(key)  # type: ignore[no-any-return]


def _without_ours(request: Any) -> Any:
    """A request without our header, which is the one thing that adoption adds to it."""
    for ours in ("jobmonitor", "jobmonitor_entered"):
        request.pop(ours, None)
    for random in ("reply_to", "origin", "delivery_tag", "expiration"):
        (request["properties"] or {}).pop(random, None)
    return request


def delayed(shop: Any) -> Any:
    return _without_ours(shop.report.delay(1, word="two").get(_LONG) | {"id": 0, "root_id": 0,
        "correlation_id": 0, "properties": {}})  # fmt: skip


def applied_with_every_option(shop: Any) -> Any:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    result = shop.report.apply_async(
        (1,), {"word": "two"}, task_id="every-option", countdown=0.1, expires=later,
        priority=4, shadow="another name", headers={"tenant": "north", "depth": {"x": 1}},
        time_limit=50, soft_time_limit=40, serializer="json", compression="zlib",
        argsrepr="(one)", kwargsrepr="{two}", ignore_result=False, queue="by_name",
        link=shop.echo.s().set(task_id="every-link"), link_error=shop.echo.s(),
        retry=True, retry_policy={"max_retries": 1}, delivery_mode=1, expiration=600,
        reply_to="somewhere", message_id="mine", user_id="me",
    )  # fmt: skip
    request = _without_ours(result.get(_LONG))
    expires, eta = (request.pop(name) for name in ("expires", "eta"))
    assert expires[:16] == later.isoformat()[:16], expires
    assert eta < later.isoformat(), eta
    for link in ("callbacks", "errbacks"):
        for item in request[link]:
            item["options"].pop("task_id", None)
    return [request, shop.app.AsyncResult("every-link").get(_LONG)["id"]]


def sent_by_name(shop: Any) -> Any:
    result = shop.app.send_task(
        "styles.report", (1,), {"word": "two"}, task_id="by-name", countdown=0.1, priority=2,
        headers={"tenant": "south"}, shadow="other", time_limit=9, queue="by_name",
    )  # fmt: skip
    request = _without_ours(result.get(_LONG))
    request.pop("eta")
    return [request, repr(result.parent)]


def sent_by_a_name_that_is_not_registered_here(shop: Any) -> Any:
    del shop.app.tasks["styles.untyped"]
    named = shop.app.send_task("styles.untyped", (5,)).get(_LONG)
    signed = signature("styles.untyped", (6,), app=shop.app).delay().get(_LONG)
    return [named, signed]


def called_directly(shop: Any) -> Any:
    request = shop.report(1, word="two")
    return [request, shop.add(1, 2), shop.shared("direct"), shop.handled("direct")]


def applied_here(shop: Any) -> Any:
    result = shop.report.apply((1,), {"word": "two"}, task_id="here", headers={"a": 1})
    failed = shop.fail.apply(("no",))
    told = [
        _without_ours(result.get()),
        result.state,
        failed.state,
        repr(failed.result),
        failed.successful(),
    ]
    again = shop.handled.apply(("retry",), task_id="here-handled")
    return [*told, again.get(), shop.traced("here-handled")]


def applied_here_with_a_link(shop: Any) -> Any:
    done = shop.echo.apply(("x",), link=shop.noisy.s(), task_id="linked-here")
    return [done.get(), _trace(shop, "styles.noisy", "called")]


def eager(shop: Any) -> Any:
    conf = shop.app.conf
    conf.task_always_eager = True
    try:
        report = shop.report.apply_async((1,), task_id="eager", headers={"a": 1})
        told = [_without_ours(report.get())]
        told.append((shop.add.s(1, 1) | shop.add.s(2)).delay().get())
        told.append(group(shop.add.s(1, n) for n in range(3)).delay().get())
        told.append((group(shop.add.s(1, 1), shop.add.s(2, 2)) | shop.echo.s()).delay().get())
        told.append(shop.parent.delay().state)
        told.append(shop.fail.delay("quiet").state)
        conf.task_eager_propagates = True
        try:
            shop.fail.delay("loud")
        except ValueError as error:
            told.append(repr(error))
        return told
    finally:
        conf.task_always_eager = conf.task_eager_propagates = False


def eager_with_its_result_stored(shop: Any) -> Any:
    shop.app.conf.update(task_always_eager=True, task_store_eager_result=True)
    shop.echo.store_eager_result = True
    try:
        shop.echo.apply_async(("stored",), task_id="eager-stored")
    finally:
        shop.app.conf.update(task_always_eager=False, task_store_eager_result=False)
        shop.echo.store_eager_result = False
    return shop.app.AsyncResult("eager-stored").get(_LONG)


def too_few_arguments(shop: Any) -> Any:
    told = []
    for call in (lambda: shop.add.delay(1), lambda: shop.add.delay(1, 2, 3)):
        try:
            call()
        except TypeError as error:
            told.append(str(error))
    shop.app.tasks.register(shop.untyped)
    late = shop.untyped.delay()
    late.get(_LONG, propagate=False)
    return [*told, repr(late.result)]


def by_a_model(shop: Any) -> Any:
    return shop.by_model.delay({"amount": 4}).get(_LONG)


def a_shared_task(shop: Any) -> Any:
    return shop.shared.apply_async(("hi",), task_id="shared").get(_LONG)


def a_base_class_that_overrides_everything(shop: Any) -> Any:
    shop.TRACE.write_text("")
    result = shop.noisy.delay("again")
    return [result.get(_LONG), _trace(shop, "styles.noisy", "called")]


def a_class_with_state_and_handlers(shop: Any) -> Any:
    told = []
    for how in ("well", "fail", "break before", "break after"):
        result = shop.handled.apply_async((how,), task_id=f"handled-{how}")
        value = result.get(_LONG, propagate=False)
        told.append([repr(value), _trace(shop, result.id, "after_return")])
    retried = shop.handled.apply_async(("retry",), task_id="handled-retry")
    value = retried.get(_LONG)
    return [*told, value, _trace(shop, "handled-retry", "after_return")]


def retried(shop: Any) -> Any:
    result = shop.retried_report.apply_async(
        ({},), task_id="retried", headers={"tenant": "west"}, priority=5, queue="by_name",
        time_limit=33,
    )  # fmt: skip
    request = _without_ours(result.get(_LONG))
    request.pop("eta", None)
    return request


def retried_elsewhere(shop: Any) -> Any:
    how = {"queue": "by_glob", "priority": 1}
    result = shop.retried_report.apply_async((how,), task_id="elsewhere")
    return result.get(_LONG)["delivery_info"]


def in_a_chain(shop: Any) -> Any:
    result = chain(shop.add.s(1, 1), shop.report.s()).apply_async(headers={"tenant": "x"})
    request = _without_ours(result.get(_LONG))
    assert request["parent_id"] == result.parent.id == request["root_id"]
    return [request["args"], request["headers"], result.parent.get(_LONG)]


def a_request_class_of_the_app(shop: Any) -> Any:
    result = shop.with_request.apply_async(task_id="with-request")
    failed = repr(result.get(_LONG, propagate=False))
    return [failed, _trace(shop, result.id, "the request failed")]


def a_backend_of_the_task(shop: Any) -> Any:
    result = shop.with_backend.apply_async(task_id="with-backend")
    return [result.get(_LONG), shop.app.AsyncResult(result.id).state]
