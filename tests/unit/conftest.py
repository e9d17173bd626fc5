"""A job whose log is taken into a list, and stand-ins for stdout and stderr."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from jobmonitor.current import enter, leave
from jobmonitor.job import RunningJob
from jobmonitor.job_log import capture
from jobmonitor.job_log.capture import LogHandler, capture_everything
from tests.unit.logged import Replaced, Streams, Written, logged_job


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
