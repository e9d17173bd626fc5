"""What was purged from a fair queue is Canceled: its rows say so.

Runs in: whoever purges, `celery purge` and `app.control.purge` among them.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from jobmonitor import signals
from jobmonitor.errors import DatabaseUnavailable
from jobmonitor.records.database import Database
from jobmonitor.records.store import slot
from jobmonitor.said import acting

logger = logging.getLogger(__name__)
_AT_ONCE = 500


def cancel_purged(database: Database, queue: str) -> int:
    """Cancel what waited in a queue whose messages are gone; how many jobs that were.

    What is submitted meanwhile is not touched. Where the database is away, that is said: the
    jobs stay Pending, and can be canceled as any others.
    """
    facts: dict[str, Any] = {"queue": queue, "before": datetime.now(UTC), "limit": _AT_ONCE}
    facts |= {"actor": acting.get(), "slot": slot()}
    count = 0
    try:
        while rows := database.rows("purged", facts):
            for root in {row.root_id for row in rows}:
                database.rows("close_group", {"id": root})
            for row in rows if signals.job_canceled.receivers else ():
                signals.job_canceled.send(sender=None, job_id=row.id)
            count += len(rows)
    except DatabaseUnavailable as error:
        logger.warning("queue %s was purged, but its jobs stay Pending: %s", queue, error)
    return count
