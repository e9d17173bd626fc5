"""What is taken from logging, and what is not."""

from __future__ import annotations

import logging
import logging.config
import warnings
from collections.abc import Iterator

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_logger, get_task_logger

from jobmonitor.current import leave
from jobmonitor.job import RunningJob
from jobmonitor.job_log.capture import LogHandler, capture_everything
from tests.unit.logged import Replaced, Written, taken


@pytest.fixture
def new_logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    logger = logging.getLogger(f"library.{request.node.name}")
    yield logger
    logger.propagate = True


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
