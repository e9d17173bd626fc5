"""Celery's soft time limit (SIGUSR1) is kept out of what it would break, and comes afterwards.

Runs in: every process; it matters in the one that runs the task. A signal is handled in the
main thread alone, so only there something is done, and once, however deep the calls nest.

Its handler is wrapped rather than the signal masked: what the main thread masks, the kernel
gives to any other thread, and Python then runs the handler in the main one all the same.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_has_signal = hasattr(signal, "SIGUSR1")


class _Held:
    """How often it is held back now, by which main thread, whether it came, whom it is for."""

    depth = 0
    by = 0
    came = False
    handler: Callable[[int, FrameType | None], Any]


def hold_back() -> None:
    """Keep it out until `let_go` was called as often."""
    if not _is_main():
        return
    if not _Held.depth:
        _Held.by = threading.get_ident()
        _wrap_handler()
    _Held.depth += 1


def let_go() -> None:
    """End what `hold_back` began; what came meanwhile is delivered at the last call."""
    if not _is_main():
        return
    _Held.depth -= 1
    if _Held.came and not _Held.depth:
        _Held.came = False
        _Held.handler(signal.SIGUSR1, None)


@contextmanager
def held_back() -> Iterator[None]:
    """Keep it out of a block, or of a function."""
    hold_back()
    try:
        yield
    finally:
        let_go()


def _wrap_handler() -> None:
    handler = signal.getsignal(signal.SIGUSR1)
    if callable(handler) and handler is not _deliver_or_note:
        _Held.handler = handler
        signal.signal(signal.SIGUSR1, _deliver_or_note)


def _deliver_or_note(number: int, frame: FrameType | None) -> None:
    if _Held.depth:
        _Held.came = True
    else:
        _Held.handler(number, frame)


def _is_main() -> bool:
    return _has_signal and threading.get_ident() == threading.main_thread().ident


def _after_fork() -> None:
    """A child of another thread has that thread as its main one, which holds nothing back."""
    _Held.came = False
    if _Held.by != threading.get_ident():
        _Held.depth = 0


os.register_at_fork(after_in_child=_after_fork)
