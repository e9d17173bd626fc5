"""What cannot become a job is refused before anything is recorded, as far as we can say."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.exceptions import EncodeError, OperationalError

from jobmonitor import JobMonitor
from jobmonitor.errors import (
    ConfigurationError,
    JobExists,
    JobMonitorError,
    JobNotDone,
    JobNotFound,
    MessageTooLarge,
    QueryRefused,
    SubmissionRefused,
    WrongProtocol,
)
from jobmonitor.redaction import storable

HOSTILE = "a\0b\ud800c"
LONG = "x" * 10_000


class WithoutWords:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture(scope="module")
def monitor(database_url: str, broker_url: str) -> Iterator[JobMonitor]:
    app = Celery("refusing", broker=broker_url, set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url, message_max=100_000)
    app.task(name="shop.export", shared=False)(export)
    app.finalize()
    yield monitor
    app.close()
    monitor.database.close()


def export(*args: Any, **kwargs: Any) -> None: ...


@pytest.fixture
def submit(monitor: JobMonitor) -> Callable[..., Any]:
    """Submit a job; its view."""

    def submit(*args: Any, **options: Any) -> Any:
        sent = monitor.app.tasks["shop.export"].apply_async(args, **options)
        return monitor.jobs.get(sent.id)

    return submit


@pytest.fixture
def nothing_more(monitor: JobMonitor) -> Iterator[None]:
    """No row and no message is there that was not there before."""

    def everything() -> tuple[int, int]:
        with monitor.database.connection() as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM job").fetchall()
        with monitor.app.connection_for_read() as connection:
            return rows, connection.default_channel.client.llen("celery")

    before = everything()
    yield
    assert everything() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task_id": LONG}, "a task id has 1 to 255 characters; this one has 10,000"),
        ({"task_id": "a\0"}, "a task id must not contain NUL or lone surrogates"),
        ({"task_id": "a\ud800"}, "a task id must not contain NUL or lone surrogates"),
        ({"task_id": ["a"]}, "a task id is a text, not a list"),
        ({"group_id": LONG}, "a group id has 1 to 255 characters; this one has 10,000"),
        ({"group_id": "\0"}, "a group id must not contain NUL or lone surrogates"),
        ({"run_by": WithoutWords()}, "run_by is a text; this WithoutWords cannot be made one"),
        ({"label": WithoutWords()}, "label is a text; this WithoutWords cannot be made one"),
        ({"key": WithoutWords()}, "key is a text; this WithoutWords cannot be made one"),
    ],
)
@pytest.mark.usefixtures("nothing_more")
def test_an_option_that_cannot_be_kept_is_refused(
    submit: Callable[..., Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(SubmissionRefused) as refused:
        submit(**options)
    assert str(refused.value) == says


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shop.\0", "a task name must not contain NUL or lone surrogates"),
        ("shop.\ud800", "a task name must not contain NUL or lone surrogates"),
        ("", "a task name is a text, not ''"),
        (None, "a task name is a text, not None"),
    ],
)
@pytest.mark.usefixtures("nothing_more")
def test_a_name_that_no_task_has_is_refused(monitor: JobMonitor, name: Any, says: str) -> None:
    with pytest.raises(SubmissionRefused) as refused:
        monitor.app.send_task(name)
    assert str(refused.value) == says


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("argument", "error", "says"),
    [
        (object(), EncodeError, "Object of type object is not JSON serializable"),
        (WithoutWords(), EncodeError, "Object of type WithoutWords is not JSON serializable"),
        (nested(5_000), EncodeError, "maximum recursion depth exceeded"),
        (
            "x" * 100_000,
            MessageTooLarge,
            r"the message of shop.export has 101,\d{3} bytes; at most 100,000 are accepted "
            r"\(setting message_max\): store the data elsewhere and pass a reference",
        ),
    ],
    ids=["no JSON", "without words", "nested", "over the cap"],
)
@pytest.mark.usefixtures("nothing_more")
def test_arguments_that_cannot_be_sent_are_refused(
    submit: Callable[..., Any], argument: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        submit(argument)


def test_arguments_below_the_cap_are_sent_whole_and_shown_cut(
    monitor: JobMonitor, submit: Callable[..., Any]
) -> None:
    job = submit("x" * 90_000)
    assert len(job.args) < 9_000
    with monitor.database.connection() as connection:
        [(body,)] = connection.execute(
            "SELECT body FROM job_message WHERE job_id = %s", (job.id,)
        ).fetchall()
    assert b"x" * 90_000 in bytes(body)


@pytest.mark.parametrize("given_id", [7, uuid.UUID(int=7)])
def test_an_id_that_is_no_text_becomes_one(
    monitor: JobMonitor, submit: Callable[..., Any], given_id: Any
) -> None:
    assert submit(task_id=given_id).id == str(given_id)


def test_an_id_in_use_is_refused_with_the_status(
    monitor: JobMonitor, submit: Callable[..., Any]
) -> None:
    submit(task_id="daily")
    with pytest.raises(
        JobExists, match="job daily exists already and is Pending; an id can be"
    ):
        submit(task_id="daily")
    monitor.jobs.stop("daily")
    with pytest.raises(JobExists, match="job daily exists already and is Stopped"):
        submit(task_id="daily")
    monitor.jobs.cancel("daily")
    with pytest.raises(
        JobNotDone, match="job daily ended, but cannot be run anew yet: what it "
    ):
        submit(task_id="daily")
    monitor.database.rows("told", {"id": "daily"})
    assert submit(task_id="daily").run == 2


# -- task options ----------------------------------------------------------------------------


def raising(*_: Any) -> str:
    raise LookupError("no label today")


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (raising, None),
        (lambda *_: WithoutWords(), None),
        (lambda: "wrong signature", None),
        (lambda *_: None, None),
        (lambda *_: 5, "5"),
        (lambda *_: HOSTILE, "a\ufffdb?c"),
    ],
)
def test_a_label_callable_costs_a_job_at_most_its_label(
    monitor: JobMonitor, caplog: pytest.LogCaptureFixture, label: Any, shown: str | None
) -> None:
    task = monitor.app.task(name=f"label.{id(label)}", shared=False, label=label)(export)
    job = monitor.jobs.get(task.delay(1).id)
    assert (job.label, job.status) == (shown, "pending")
    if label is raising:
        assert "LookupError('no label today'); the job has none" in caplog.text


def test_a_label_of_any_length_is_cut(submit: Callable[..., Any]) -> None:
    label = submit(label="l" * 10**6).label
    assert len(label) < 600
    assert "characters cut" in label


@pytest.mark.usefixtures("nothing_more")
def test_a_task_with_a_wrong_option_is_refused_by_name(monitor: JobMonitor) -> None:
    task = monitor.app.task(name="shop.heavy", shared=False, weight="heavy")(export)
    with pytest.raises(ConfigurationError) as refused:
        task.delay()
    assert str(refused.value) == (
        "task shop.heavy: weight must be a number from 0.001 to 1,000, not 'heavy'"
    )


@pytest.mark.usefixtures("nothing_more")
def test_a_message_without_headers_is_refused(monitor: JobMonitor) -> None:
    amqp = monitor.app.amqp
    old = amqp.as_task_v1("one", "shop.export", (), {})
    with (
        pytest.raises(WrongProtocol, match="task_protocol must be 2"),
        monitor.app.producer_pool.acquire() as producer,
    ):
        amqp.send_task_message(producer, "shop.export", old)


# -- the broker is away ----------------------------------------------------------------------


@pytest.fixture
def without_broker(database_url: str) -> Iterator[JobMonitor]:
    app = Celery("nowhere", broker="redis://127.0.0.1:1/0", set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)
    app.task(name="shop.export", shared=False, restartable=True)(export)
    yield monitor
    app.close()
    monitor.database.close()


def test_without_a_broker_the_caller_gets_its_error_soon_and_the_row_is_taken_back(
    without_broker: JobMonitor, monitor: JobMonitor
) -> None:
    began = time.monotonic()
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1:1"):
        without_broker.app.tasks["shop.export"].apply_async(task_id="never-sent")
    assert time.monotonic() - began < 15
    with pytest.raises(JobNotFound):
        monitor.jobs.get("never-sent")


def test_an_operation_that_publishes_changes_nothing_without_a_broker(
    without_broker: JobMonitor, monitor: JobMonitor, submit: Callable[..., Any]
) -> None:
    job = submit()
    monitor.jobs.stop(job.id)
    with monitor.database.connection() as connection:
        connection.execute("UPDATE job SET taken_dispatch = 1 WHERE id = %s", (job.id,))
    with pytest.raises(OperationalError):
        without_broker.jobs.resume(job.id)
    assert monitor.jobs.get(job.id).status == "stopped"
    assert monitor.jobs.resume(job.id)[0].changed


# -- questions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"limit": "x"}, "limit must be 1 to 500, not 'x'"),
        ({"status": "running"}, "status must be a list, not 'running'"),
        ({"status": ["zz"]}, "there is no status 'zz'; they are pending, running"),
        ({"type": "shop"}, "type must be a list, not 'shop'"),
        ({"has_errors": "x"}, "has_errors must be True or False, not 'x'"),
        (
            {"created_from": "yesterday"},
            "created_from must be a datetime with a zone, not 'yesterday'",
        ),
        ({"cursor": 5}, "this cursor was not made by this list"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    monitor: JobMonitor, filters: dict[str, Any], says: str
) -> None:
    with pytest.raises(QueryRefused) as refused:
        monitor.jobs.find(**filters)
    assert str(refused.value).startswith(says)


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda its: its.tree("x", limit=-1), QueryRefused, "limit must be 1 to 5000, not -1"),
        (lambda its: its.logs("x", limit="x"), QueryRefused, "limit must be 1 to 1000, not 'x"),
        (lambda its: its.wait_for("x", "ended"), QueryRefused, "there is no status 'ended'"),
        (lambda its: its.apply("zap", "x"), ConfigurationError, "there is no operation 'zap'"),
        (lambda its: its.stop(7), ConfigurationError, "job ids are strings, one or a list"),
        (lambda its: its.stop([7]), ConfigurationError, "job ids are strings"),
        (lambda its: its.get(None), JobNotFound, "there is no job with the id 'None'"),
        (lambda its: its.get(LONG), JobNotFound, f"there is no job with the id '{LONG[:50]}…'"),
        (lambda its: its.tree(LONG), JobNotFound, "there is no job with the id 'xxx"),
        (lambda its: its.logs(LONG), JobNotFound, "there is no job with the id 'xxx"),
    ],
)  # fmt: skip
def test_a_call_that_makes_no_sense_is_refused(
    monitor: JobMonitor, ask: Callable[[Any], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as refused:
        ask(monitor.jobs)
    assert str(refused.value).startswith(says)


# -- any text --------------------------------------------------------------------------------

TEXT = st.text(
    st.characters() | st.sampled_from("\0\x1b\x9b\ud800\udfff\ufffd'\"%_\\"), max_size=300
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(text=TEXT)
def test_any_text_is_kept_or_refused_with_a_sentence(monitor: JobMonitor, text: str) -> None:
    jobs, task = monitor.jobs, monitor.app.tasks["shop.export"]
    with monitor.acting(text):
        sent = task.apply_async((text,), {"k": text}, label=text, key=text, shadow=text)
    job = jobs.get(sent.id)
    assert (job.args, job.kwargs) == ([text], {"k": text})
    assert job.run_by == storable(text)
    assert job.status == "pending"
    jobs.stop(sent.id, reason=text)
    for filters in ({"q": text}, {"type": [text]}, {"run_by": text}, {"parent": text}):
        jobs.find(**filters)
    assert any(found.id == sent.id for found in jobs.find(run_by=text, limit=500).jobs)
    assert jobs.logs(sent.id, q=text).lines == []
    assert jobs.stop(f"no {text}")[0].status is None
    for refused in (
        lambda: monitor.app.send_task(text, task_id=f"name {uuid.uuid4()}"),
        lambda: task.apply_async(task_id=f"{text}{uuid.uuid4()}"),
        lambda: jobs.get(f"no {text}"),
        lambda: jobs.find(cursor=text),
        lambda: jobs.logs(sent.id, cursor=text),
        lambda: jobs.logs(sent.id, level=text),
    ):
        try:
            refused()
        except JobMonitorError as error:
            assert str(error)
