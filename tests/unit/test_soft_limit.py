"""The soft time limit is kept out of a block, however deep it nests, and comes after it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
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


def test_what_was_masked_before_stays_masked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with soft_limit.held_back():
        pass
    assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


def test_another_thread_masks_nothing_and_ends_no_block_of_the_main_one() -> None:
    masked = []

    def look() -> None:
        with soft_limit.held_back():
            masked.append(signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, set()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    with soft_limit.held_back():
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    assert masked == [False]


def test_a_child_that_another_thread_forked_holds_back_too() -> None:
    answers = []

    def fork() -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            with soft_limit.held_back():
                held = signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, set())
            os.write(writing, b"held" if held else b"open")
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writing)
        answers.append(os.read(reading, 10))
        os.close(reading)

    with soft_limit.held_back():
        thread = threading.Thread(target=fork)
        thread.start()
        thread.join()
    assert answers == [b"held"]
