"""What is taken from logging, stdout and stderr, and what is not."""

from __future__ import annotations

import io
import logging
import logging.config
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.utils.log import LoggingProxy, get_logger, get_task_logger

from jobmonitor.current import enter, leave
from jobmonitor.job import RunningJob
from jobmonitor.job_log import capture
from jobmonitor.job_log.capture import LogHandler, Tee, capture_everything
from tests.unit.logged import Written, logged_job

#: Python warns of a fork beside threads, which is what these tests are about
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
Streams = dict[str, io.StringIO]
Replaced = Callable[[], Streams]


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Replaced:
    """Let texts stand for stdout and stderr; called in the test, since pytest has its own."""

    def replaced() -> Streams:
        both = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        for name, stream in both.items():
            monkeypatch.setattr(sys, name, stream)
        capture_everything()
        return both

    return replaced


@pytest.fixture
def job(written: Written, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningJob]:
    """The job that runs here; what it logs is taken."""
    handler = LogHandler()
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(capture, "_handler", handler)
    job = logged_job(written)
    capture_everything()
    enter(job)
    yield job
    leave()
    logging.setLogRecordFactory(factory)
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            logger.removeHandler(handler)


@pytest.fixture
def new_logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    logger = logging.getLogger(f"library.{request.node.name}")
    yield logger
    logger.propagate = True


def taken(job: RunningJob, written: Written) -> list[tuple[str, int, str]]:
    job.log.flush()
    return [(line.logger, line.level, line.message) for line in written.lines]


# -- records -------------------------------------------------------------------------------


def test_a_record_is_a_line_of_the_job_that_runs(job: RunningJob, written: Written) -> None:
    logging.getLogger("shop").warning("%d left", 3)
    assert taken(job, written) == [("shop", 30, "3 left")]
    assert (written.lines[0].job_id, written.lines[0].attempt) == ("j1", 1)


def test_outside_a_job_nothing_is_taken(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    leave()
    logging.getLogger("shop").error("nobody's")
    print("nobody's")  # noqa: T201
    assert taken(job, written) == []
    assert not job.has_errors


@pytest.mark.parametrize("level", [logging.ERROR, logging.CRITICAL, 45])
def test_an_error_that_is_logged_marks_the_job(job: RunningJob, level: int) -> None:
    logging.getLogger("shop").warning("not yet")
    assert not job.last_report().has_errors
    logging.getLogger("shop").log(level, "bad")
    assert job.last_report().has_errors


@pytest.mark.parametrize(
    "name", ["celery", "celery.app.trace", "celery.redirected", "kombu.mixins", "billiard",
             "amqp", "jobmonitor", "jobmonitor.job"],
)  # fmt: skip
def test_what_the_machinery_says_is_no_jobs(
    job: RunningJob, written: Written, name: str
) -> None:
    logging.getLogger(name).error("ours")
    assert taken(job, written) == []
    assert not job.has_errors


@pytest.mark.parametrize("name", ["celery.task", "celery.task.shop", "celeryish", "shop"])
def test_loggers_of_tasks_are_taken(job: RunningJob, written: Written, name: str) -> None:
    logging.getLogger(name).error("theirs")
    assert taken(job, written) == [(name, 40, "theirs")]


def test_a_task_logger_is_taken_where_celery_lets_it_not_propagate(
    job: RunningJob, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_logger("celery.task"), "propagate", 0)
    get_task_logger("shop.orders").error("theirs")
    assert taken(job, written) == [("shop.orders", 40, "theirs")]


def test_a_logger_that_stops_to_propagate_in_the_job_is_taken_once(
    job: RunningJob, written: Written, new_logger: logging.Logger
) -> None:
    new_logger.warning("first")
    new_logger.propagate = False
    new_logger.warning("second")
    new_logger.getChild("below").warning("third")
    new_logger.propagate = True
    new_logger.warning("fourth")
    assert [line[2] for line in taken(job, written)] == ["first", "second", "third", "fourth"]


def test_a_logger_that_did_not_propagate_before_is_taken_from_the_next_job_on(
    job: RunningJob, written: Written, new_logger: logging.Logger
) -> None:
    new_logger.propagate = False
    logging.setLogRecordFactory(logging.LogRecord)
    logging.getLogger(f"{new_logger.name}.more")
    capture_everything()
    new_logger.warning("theirs")
    assert [line[2] for line in taken(job, written)] == ["theirs"]


def test_an_app_that_configures_logging_in_the_job_is_still_taken(
    job: RunningJob, written: Written
) -> None:
    handlers = logging.root.handlers[:]
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {}})
        logging.getLogger("shop").warning("after")
    finally:
        logging.root.handlers[:] = handlers
    assert [line[2] for line in taken(job, written)] == ["after"]


def test_a_record_that_cannot_be_formatted_is_a_sentence(
    job: RunningJob, written: Written
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logger = logging.getLogger("shop")
    logger.propagate = False
    try:
        logger.warning("%d left", "x")
        logger.warning(Broken())
        logger.warning("%s left", Broken())
    finally:
        logger.propagate = True
    assert [line[2] for line in taken(job, written)] == [
        "a message that cannot be shown (TypeError): %d left",
        "a message that cannot be shown (RuntimeError): a Broken",
        "a message that cannot be shown (RuntimeError): %s left",
    ]


def test_a_record_keeps_its_traceback_and_its_stack(job: RunningJob, written: Written) -> None:
    try:
        raise ValueError("as asked")
    except ValueError:
        logging.getLogger("shop").warning("it failed", exc_info=True)
    logging.getLogger("shop").warning("here", stack_info=True)
    first, second = (line[2] for line in taken(job, written))
    assert first.startswith("it failed\nTraceback (most")
    assert first.endswith("ValueError: as asked")
    assert second.startswith("here\nStack (most recent call last)")


def test_a_time_limit_that_comes_while_it_logs_reaches_the_task(job: RunningJob) -> None:
    class Slow:
        def __str__(self) -> str:
            raise SoftTimeLimitExceeded()

    logger = logging.getLogger("shop")
    logger.propagate = False
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            logger.warning(Slow())
    finally:
        logger.propagate = True


def test_what_fails_in_the_log_does_not_fail_the_task(
    job: RunningJob, written: Written, replaced: Replaced, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = replaced()
    secrets, job.tail.secrets = job.tail.secrets, (None,)  # type: ignore[assignment]
    logging.getLogger("shop").warning("lost")
    print("lost")  # noqa: T201
    job.tail.secrets = secrets
    logging.getLogger("shop").warning("kept")
    assert [line[2] for line in taken(job, written)] == ["kept"]
    assert "--- Logging error ---" in streams["stderr"].getvalue()


def test_without_another_handler_logging_still_says_it_on_stderr(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    streams = replaced()
    handlers = logging.root.handlers[:]
    logging.root.handlers[:] = [each for each in handlers if isinstance(each, LogHandler)]
    try:
        logging.getLogger("shop").warning("out of paper")
    finally:
        logging.root.handlers[:] = handlers
    assert streams["stderr"].getvalue() == "out of paper\n"
    assert [line[2] for line in taken(job, written)] == ["out of paper"]


def test_a_warning_is_a_line(job: RunningJob, written: Written) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        try:
            warnings.warn("an old way", UserWarning, stacklevel=1)
        finally:
            logging.captureWarnings(False)
    [(name, level, message)] = taken(job, written)
    assert (name, level, "an old way" in message) == ("py.warnings", 30, True)


# -- prints --------------------------------------------------------------------------------


def test_what_is_printed_is_written_through_and_taken(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    streams = replaced()
    print("one\ntwo", 3, end="\n\n")  # noqa: T201
    print("bad", file=sys.stderr)  # noqa: T201
    assert taken(job, written) == [
        ("stdout", 20, "one"), ("stdout", 20, "two 3"), ("stderr", 30, "bad"),
    ]  # fmt: skip
    assert streams["stdout"].getvalue() == "one\ntwo 3\n\n"
    assert streams["stderr"].getvalue() == "bad\n"
    assert not job.has_errors


def test_a_progress_bar_is_the_line_that_stays(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    for percent in range(0, 101, 10):
        sys.stdout.write(f"\r{percent} %")
    sys.stdout.write("\nnext\r\nlast\r")
    assert [line[2] for line in taken(job, written)] == ["100 %", "next", "last"]


def test_a_line_that_does_not_end_is_kept_at_the_end(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    sys.stdout.write("half")
    sys.stderr.write("other")
    assert taken(job, written)[:2] == [("stdout", 20, "half"), ("stderr", 30, "other")]
    assert len(taken(job, written)) == 2


def test_a_line_that_never_ends_does_not_grow(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    for _ in range(250):
        sys.stdout.write("x")
    assert [len(line[2]) for line in taken(job, written)] == [101, 101, 48]


def test_a_secret_of_many_lines_is_not_printed(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    job.tail.secrets = ("-- BEGIN\nabc\n-- END",)
    print("key:", *job.tail.secrets)  # noqa: T201
    assert [line[2] for line in taken(job, written)] == ["key: [redacted]"]


def test_threads_that_print_at_once_do_not_mix(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    both = threading.Barrier(2)

    def say(word: str) -> None:
        sys.stdout.write(word)
        both.wait()
        sys.stdout.write(f" {word}\n")

    threads = [threading.Thread(target=job.bind(say), args=(word,)) for word in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line[2] for line in taken(job, written)) == ["a a", "b b"]


def test_a_handler_that_writes_to_stdout_does_not_say_it_twice(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    streams = replaced()
    handler = logging.StreamHandler(sys.stdout)
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    try:
        logger.warning("once")
    finally:
        logger.removeHandler(handler)
    assert [line[2] for line in taken(job, written)] == ["once"]
    assert streams["stdout"].getvalue() == "once\n"


def test_celerys_stand_in_for_stdout_does_not_say_it_twice(
    job: RunningJob, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = LoggingProxy(get_logger("celery.redirected"), "WARNING")
    monkeypatch.setattr(sys, "stdout", proxy)
    capture_everything()
    print("once")  # noqa: T201
    assert taken(job, written) == [("stdout", 20, "once")]


def test_the_tee_is_otherwise_the_stream_it_stands_for() -> None:
    stream: Any = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    tee: Any = Tee(stream, "stdout")
    tee.writelines(["a", "b"])
    tee.flush()
    assert (tee.encoding, tee.buffer.getvalue(), tee.isatty()) == ("utf-8", b"ab", False)
    with pytest.raises(TypeError):
        tee.write(b"bytes")


def test_streams_are_replaced_once(job: RunningJob, replaced: Replaced) -> None:
    replaced()
    first = sys.stdout
    capture_everything()
    assert sys.stdout is first
    assert isinstance(first, Tee)


# -- forks ---------------------------------------------------------------------------------


@forks
def test_a_child_that_is_forked_writes_its_own_lines_only(
    job: RunningJob, written: Written, replaced: Replaced
) -> None:
    replaced()
    logging.getLogger("shop").warning("the parent's")
    sys.stdout.write("half")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            written.lines.clear()
            logging.getLogger("shop").warning("the child's")
            job.log.flush()
            os.write(writing, ",".join(written.messages).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1_000) == b"the child's"
    assert [line[2] for line in taken(job, written)] == ["the parent's", "half"]


@forks
def test_a_child_that_is_forked_while_a_lock_is_held_can_log(
    job: RunningJob, written: Written
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        go_on.wait(10)

    written.meanwhile = hang
    logging.getLogger("shop").warning("the parent's")
    assert inside.wait(10)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            written.meanwhile = None
            written.lines.clear()
            logging.getLogger("shop").warning("the child's")
            job.log.flush()
            os.write(writing, ",".join(written.messages).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    go_on.set()
    assert os.read(reading, 1_000) == b"the child's"
    assert [line[2] for line in taken(job, written)] == ["the parent's"]
