"""The soft time limit is kept out of a block, however deep it nests, and comes after it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from jobmonitor.records import soft_limit


class LimitError(Exception):
    """What the handler of the task raises."""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    def raise_it(number: int, frame: FrameType | None) -> None:
        raise LimitError

    before = signal.signal(signal.SIGUSR1, raise_it)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_limit_that_comes_inside_comes_after_the_outermost_block() -> None:
    done = []
    with pytest.raises(LimitError), soft_limit.held_back():
        with soft_limit.held_back():
            os.kill(os.getpid(), signal.SIGUSR1)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]
    with pytest.raises(LimitError):
        os.kill(os.getpid(), signal.SIGUSR1)


def test_it_is_held_back_where_another_thread_takes_the_signal() -> None:
    done = []
    with another_thread(), pytest.raises(LimitError):
        with soft_limit.held_back():
            signal_arrives()
            done.append("inside")
        done.append("outside")
    assert done == ["inside"]


def test_it_is_held_back_whoever_handles_it_by_then() -> None:
    with soft_limit.held_back():
        pass
    came = []
    signal.signal(signal.SIGUSR1, lambda number, frame: came.append(number))
    with soft_limit.held_back():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert came == []
    assert came == [signal.SIGUSR1]


def test_a_block_of_another_thread_holds_back_nothing() -> None:
    inside, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with soft_limit.held_back():
            inside.set()
            ended.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        with pytest.raises(LimitError):
            signal_arrives()
    finally:
        ended.set()
        thread.join()


def test_a_process_without_a_handler_is_left_as_it_is() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with soft_limit.held_back():
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN


def test_a_child_that_another_thread_forked_holds_back_too() -> None:
    answers = []

    def fork() -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.write(writing, child_of_a_thread())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writing)
        answers.append(os.read(reading, 20))
        os.close(reading)

    with soft_limit.held_back():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert answers == [b"held, then told"]


def child_of_a_thread() -> bytes:
    held = b"open"
    try:
        with soft_limit.held_back():
            os.kill(os.getpid(), signal.SIGUSR1)
            held = b"held"
    except LimitError:
        return held + b", then told"
    return held


@contextmanager
def another_thread() -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    yield
    ended.set()
    thread.join()


def signal_arrives() -> None:
    """Signal this process, and come back when a thread of it was interrupted by that."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.read(reading, 1)
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
