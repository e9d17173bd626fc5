"""Lines that wait until they are written together, by a thread that starts at the first one.

Runs in: the process that runs the task. A child that a job forks begins with an empty buffer,
new locks and no thread: what waits belongs to its parent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.records import soft_limit
from jobmonitor.records.database import TRANSIENT_ERRORS
from jobmonitor.records.logs import NewLine

logger = logging.getLogger(__name__)
Write = Callable[[Sequence[NewLine], float], None]
_AT_ONCE = 1_000
#: from the first line that waits to the statement that writes it
_INTERVAL = 0.8
_LONGEST_PAUSE = 5.0
_here = threading.local()
_buffers: weakref.WeakSet[Buffer] = weakref.WeakSet()


@contextmanager
def unheard() -> Iterator[None]:
    """Keep out of the log what this thread logs and prints inside the block."""
    before = is_unheard()
    _here.unheard = True
    try:
        yield
    finally:
        _here.unheard = before


def is_unheard() -> bool:
    """Say whether this thread is inside `unheard`."""
    return getattr(_here, "unheard", False)


class Buffer:
    """The lines of this process that are not written yet, in the order of logging."""

    def __init__(self, write: Write, *, lines_max: int) -> None:
        self._write = write
        self._lines_max = lines_max
        self._begin_anew()
        _buffers.add(self)

    def _begin_anew(self) -> None:
        #: also guards what the logs of the attempts count; held for memory only
        self.lock = threading.RLock()
        self._more = threading.Condition(self.lock)
        self._writing = threading.Lock()
        self._lines: deque[NewLine] = deque()
        self._thread: threading.Thread | None = None

    def add(self, line: NewLine) -> bool:
        """Let a line wait to be written; False where too many wait already."""
        with self.lock:
            if len(self._lines) >= self._lines_max:
                return False
            self._lines.append(line)
            if self._thread is None:
                self._start()
            elif len(self._lines) in (1, _AT_ONCE):
                self._more.notify()
            return True

    def flush(self) -> None:
        """Write what waits, here and now; no statement where nothing does.

        Raises DatabaseUnavailable; what could not be written goes on waiting.
        """
        if self._lines:
            self._write_all()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="jobmonitor-log", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads here: the end of the attempt writes the lines
            return
        self._thread = thread

    def _run(self) -> None:
        pause = _INTERVAL
        while True:
            with self._more:
                self._more.wait_for(lambda: self._lines)
                self._more.wait_for(lambda: len(self._lines) >= _AT_ONCE, timeout=_INTERVAL)
            try:
                self._write_all()
                pause = _INTERVAL
            except DatabaseUnavailable as error:
                logger.warning("%d lines of logs wait: %s", len(self._lines), error)
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _write_all(self) -> None:
        """Write in order; a line leaves the buffer when it is written, or refused for good."""
        with unheard(), soft_limit.held_back(), self._writing:
            while True:
                with self.lock:
                    batch = list(islice(self._lines, _AT_ONCE))
                if not batch:
                    return
                try:
                    self._write(batch, time.monotonic())
                except DatabaseUnavailable:
                    raise
                except TRANSIENT_ERRORS:
                    continue
                except Exception:
                    logger.exception("%d lines of logs were refused", len(batch))
                with self.lock:
                    for _ in batch:
                        self._lines.popleft()


def _after_fork() -> None:
    for buffer in list(_buffers):
        buffer._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
