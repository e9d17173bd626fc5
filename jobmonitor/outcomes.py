"""How an attempt ended, as it is stored: for people, and for the tail that is still owed.

Runs in: the process that runs the task.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu.serialization import dumps as serialize
from kombu.serialization import loads as deserialize

from jobmonitor.errors import WorkerLost
from jobmonitor.job import RunningJob
from jobmonitor.records.store import Ending
from jobmonitor.redaction import Redactor, words

logger = logging.getLogger(__name__)


class Outcomes:
    """Makes endings of return values and errors, and gives them back for a repeated tail."""

    def __init__(self, app: Celery, redactor: Redactor) -> None:
        self._app = app
        self._redactor = redactor

    def success(self, job: RunningJob, value: Any) -> Ending:
        """The task returned."""
        shown, is_whole = self._redactor.value(value, job.tail.secrets)
        return Ending(
            has_errors=job.has_errors,
            result=shown,
            result_is_whole=is_whole,
            outcome=self._kept(lambda: {"value": value}) if job.tail.owed else None,
        )

    def failure(self, job: RunningJob, error: BaseException) -> Ending:
        """The task raised."""
        outcome = None
        if job.tail.owed:
            outcome = self._kept(lambda: {"error": self._app.backend.prepare_exception(error)})
        return Ending(
            has_errors=True,
            error=self._redactor.text(
                f"{type(error).__name__}: {words(error)}", job.tail.secrets
            ),
            traceback=self._redactor.text(
                "".join(traceback.format_exception(error)), job.tail.secrets
            ),
            outcome=outcome,
        )

    def replay(self, claimed: Any) -> Any:
        """Return what a finished job returned, or raise what it raised; no user code runs."""
        if claimed.outcome is None:
            raise WorkerLost(claimed.error or "its return value could not be kept")
        content_type, _, body = bytes(claimed.outcome).partition(b"\n")
        kind = content_type.decode()
        stored = deserialize(body, kind, "utf-8", accept={kind})
        if "error" in stored:
            raise self._app.backend.exception_to_python(stored["error"])
        return stored["value"]

    def _kept(self, outcome: Callable[[], dict[str, Any]]) -> bytes | None:
        try:
            content_type, _, body = serialize(outcome(), self._app.conf.result_serializer)
        except Exception as error:
            logger.warning("an outcome cannot be kept for its continuation: %r", error)
            return None
        payload = body.encode() if isinstance(body, str) else bytes(body)
        return content_type.encode() + b"\n" + payload
