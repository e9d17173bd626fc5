"""The log of one attempt: its lines scrubbed and counted, its half-printed lines kept.

Runs in: the process that runs the task, in all of its threads.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from jobmonitor.job import LOGGER, RunningJob
from jobmonitor.job_log.buffer import Buffer
from jobmonitor.job_log.text import overwritten, readable
from jobmonitor.records.logs import LEVEL_MAX, NewLine
from jobmonitor.redaction import cut, scrub, storable

_LOGGER_MAX = 200
#: what was cut before is a little longer than the limit, and is not cut again
_SAID_BY_A_CUT = 60


class AttemptLog:
    """What one attempt logs, on its way to the buffer of the process."""

    def __init__(
        self, job: RunningJob, buffer: Buffer, *, lines_max: int, line_max: int
    ) -> None:
        self._job = job
        self._buffer = buffer
        self._lines_max = lines_max
        self._line_max = line_max
        self._kept = 0
        #: lines over the cap, and lines for which the buffer had no room; not yet said
        self._over = 0
        self._lost = 0
        #: what was printed without a line end, by process, thread and stream
        self._partial: dict[tuple[int, int, str], tuple[int, str]] = {}

    def add(self, level: int, logger: str, message: str, *, always: bool = False) -> None:
        """Add a line; `always` also over the cap. An ERROR line marks the job in any case."""
        if level >= logging.ERROR:
            self._job.has_errors = True
        with self._buffer.lock:
            if self._kept >= self._lines_max and not always:
                self._over += 1
                return
            self._kept += 1
        self._put(level, logger, self._shown(message))

    def printed(self, stream: str, level: int, text: str) -> None:
        """Add what was printed, line by line; what has no line end yet waits for it."""
        text = scrub(text, self._job.tail.secrets)  # whole: a secret may have many lines
        key = (os.getpid(), threading.get_ident(), stream)
        with self._buffer.lock:
            whole, rest = self._split(self._partial.pop(key, (level, ""))[1] + text)
            if rest:
                self._partial[key] = (level, rest)
        for line in whole:
            self._add_printed(stream, level, line)

    def _split(self, text: str) -> tuple[list[str], str]:
        *whole, rest = text.split("\n")
        whole = [overwritten(line) for line in whole]
        if "\r" in rest:
            rest = overwritten(rest) + ("\r" if rest.endswith("\r") else "")
        if len(rest) > self._line_max:
            return [*whole, rest], ""
        return whole, rest

    def _add_printed(self, stream: str, level: int, line: str) -> None:
        if line.strip():
            self.add(level, stream, line)

    def flush(self) -> None:
        """Write every line so far, also half-printed ones, and say how many there are not.

        Raises DatabaseUnavailable; the lines then wait for the next time.
        """
        with self._buffer.lock:
            partial, self._partial = self._partial, {}
        for (pid, _, stream), (level, line) in partial.items():
            if pid == os.getpid():
                self._add_printed(stream, level, overwritten(line))
        with self._buffer.lock:
            over, self._over = self._over, 0
        if over:
            text = f"{over:,} more lines were not kept (setting log_lines_max)"
            self._put(logging.WARNING, LOGGER, text)
        self._buffer.flush()
        if self._lost:
            self._say_what_was_lost()
            self._buffer.flush()

    def _shown(self, message: str) -> str:
        """Take secrets out as they were given, and as they read without escape sequences."""
        secrets = self._job.tail.secrets
        text = storable(scrub(readable(scrub(message, secrets)), secrets))
        if len(text) <= self._line_max + _SAID_BY_A_CUT:
            return text
        return cut(text, self._line_max)

    def _put(self, level: int, logger: str, text: str) -> None:
        if self._lost:
            self._say_what_was_lost()
        if not self._enqueue(level, logger, text):
            with self._buffer.lock:
                self._lost += 1

    def _say_what_was_lost(self) -> None:
        with self._buffer.lock:
            if self._enqueue(
                logging.WARNING,
                LOGGER,
                f"{self._lost:,} lines were not kept: the database was away "
                "(setting log_waiting_max)",
            ):
                self._lost = 0

    def _enqueue(self, level: int, logger: str, text: str) -> bool:
        job = self._job
        return self._buffer.add(
            NewLine(
                job_id=job.id,
                run=job.run,
                attempt=job.attempt,
                made=time.monotonic(),
                level=max(0, min(level, LEVEL_MAX)),
                logger=cut(storable(readable(logger)), _LOGGER_MAX),
                message=text,
            )
        )
