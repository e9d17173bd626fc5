"""Celery's soft time limit (SIGUSR1) is kept out of what it would break, and comes afterwards.

Runs in: every process; it matters in the one that runs the task. A signal is handled in the
main thread alone, so only there something is done, and once, however deep the calls nest.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_can_mask = hasattr(signal, "pthread_sigmask") and hasattr(signal, "SIGUSR1")


class _Held:
    """How often it is held back now, by which main thread, and what was masked before."""

    depth = 0
    by = 0
    before: Collection[int] = ()


def hold_back() -> None:
    """Keep it out until `let_go` was called as often."""
    if not _is_main():
        return
    if not _Held.depth:
        _Held.by = threading.get_ident()
        _Held.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    _Held.depth += 1


def let_go() -> None:
    """End what `hold_back` began; what came meanwhile is delivered at the last call."""
    if not _is_main():
        return
    _Held.depth -= 1
    if not _Held.depth:
        signal.pthread_sigmask(signal.SIG_SETMASK, _Held.before)


@contextmanager
def held_back() -> Iterator[None]:
    """Keep it out of a block, or of a function."""
    hold_back()
    try:
        yield
    finally:
        let_go()


def _is_main() -> bool:
    return _can_mask and threading.get_ident() == threading.main_thread().ident


def _after_fork() -> None:
    """A child of another thread has that thread as its main one, which holds nothing back."""
    if _Held.by != threading.get_ident():
        _Held.depth = 0


os.register_at_fork(after_in_child=_after_fork)
