"""What is taken from stdout and stderr, and what a child that is forked says."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from typing import Any

import pytest
from celery.utils.log import LoggingProxy, get_logger

from jobmonitor.job import RunningJob
from jobmonitor.job_log.capture import Tee, capture_everything
from tests.unit.logged import Replaced, Written, taken

#: Python warns of a fork beside threads, which is what these tests are about
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


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
