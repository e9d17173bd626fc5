"""How lines come here: a handler of logging, and a tee in place of stdout and stderr.

Runs in: the process that runs the task, in all of its threads. What a line belongs to is the
job that runs where it is made; outside a job nothing is taken.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from collections.abc import Iterable
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded

from jobmonitor.current import running_job
from jobmonitor.job_log.attempt_log import AttemptLog
from jobmonitor.job_log.buffer import is_unheard, unheard
from jobmonitor.job_log.text import said_by

_LEVELS = {"stdout": logging.INFO, "stderr": logging.WARNING}
#: loggers of the machinery; what they say is no job's
_MACHINERY = ("celery", "kombu", "billiard", "amqp", "vine", "multiprocessing", "jobmonitor")
_OF_TASKS = "celery.task"


def capture_everything() -> None:
    """Make sure that what jobs log and print in this process is taken; before each job."""
    _handler.attach()
    for name in _LEVELS:
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Tee):
            setattr(sys, name, Tee(stream, name))


def log_here() -> AttemptLog | None:
    """Return the log of the job that runs here, where lines are to be taken."""
    if is_unheard():
        return None
    job = running_job()
    if job is None or not isinstance(job.log, AttemptLog):
        return None
    return job.log


def is_machinery(logger: str) -> bool:
    """Say whether a logger is Celery's own or ours; those of tasks are not."""
    return _is_or_below(logger, _MACHINERY) and not _is_or_below(logger, (_OF_TASKS,))


def _is_or_below(logger: str, names: Iterable[str]) -> bool:
    return any(logger == name or logger.startswith(f"{name}.") for name in names)


class LogHandler(logging.Handler):
    """Takes each record once; sits at the root, and at loggers that do not propagate."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = threading.local()
        self._loggers = -1
        self._watches = False

    def attach(self) -> None:
        """Sit where records pass: at once where they can be known, later when one is made."""
        known = logging.root.manager.loggerDict
        self._sit_at(logging.root)
        if len(known) != self._loggers:
            self._loggers = len(known)
            for logger in list(known.values()):
                if isinstance(logger, logging.Logger) and not logger.propagate:
                    self._sit_at(logger)
        if not self._watches:
            self._watches = True
            self._watch()

    def _watch(self) -> None:
        """See loggers that stop to propagate while a job runs, as an import there may do."""
        make_record = logging.getLogRecordFactory()

        def made(name: Any, *args: Any, **kwargs: Any) -> logging.LogRecord:
            if name and log_here() is not None:
                self._sit_above(name)
            return make_record(name, *args, **kwargs)

        logging.setLogRecordFactory(made)

    def _sit_above(self, name: str) -> None:
        logger = logging.root.manager.loggerDict.get(name)
        found: Any = logger if isinstance(logger, logging.Logger) else logging.root
        while found.propagate and found.parent is not None:
            found = found.parent
        self._sit_at(found)

    def _sit_at(self, logger: logging.Logger) -> None:
        if self not in logger.handlers:
            logger.addHandler(self)

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record; without the lock of a handler, since nothing here needs it."""
        log = log_here()
        if log is not None and self._is_new(record) and not is_machinery(record.name):
            try:
                log.add(record.levelno, record.name, said_by(record))
            except SoftTimeLimitExceeded:
                raise  # is meant for the task, and came while it logged
            except Exception:
                self.handleError(record)
        self._stand_in_for_last_resort(record)
        return True

    def _is_new(self, record: logging.LogRecord) -> bool:
        seen = getattr(self._seen, "record", None)
        if seen is not None and seen() is record:
            return False
        self._seen.record = weakref.ref(record)
        return True

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say it where it does not come back here."""
        with unheard():
            super().handleError(record)

    def _stand_in_for_last_resort(self, record: logging.LogRecord) -> None:
        """Do what logging does where there is no handler: there is none but this one."""
        last_resort = logging.lastResort
        if last_resort is None or record.levelno < last_resort.level:
            return
        if not self._is_alone(record.name):
            return
        with unheard():
            last_resort.handle(record)

    def _is_alone(self, name: str) -> bool:
        logger = logging.root.manager.loggerDict.get(name)
        found: Any = logger if isinstance(logger, logging.Logger) else logging.root
        while found is not None:
            if any(handler is not self for handler in found.handlers):
                return False
            found = found.parent if found.propagate else None
        return True


class Tee:
    """Stands for stdout or stderr: writes through, and what a job prints goes to its log."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def write(self, text: Any) -> Any:
        """Write through; then take it, unless a handler of logging wrote it."""
        log = log_here()
        if log is None:
            return self._stream.write(text)
        with unheard():
            written = self._stream.write(text)
        if sys._getframe(1).f_globals.get("__name__") != "logging":
            self._take(log, str(text))
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def _take(self, log: AttemptLog, text: str) -> None:
        try:
            log.printed(self._name, _LEVELS[self._name], text)
        except SoftTimeLimitExceeded:
            raise  # as above
        except Exception:
            with unheard():
                logging.getLogger(__name__).exception("a printed text was not taken")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_handler = LogHandler()
