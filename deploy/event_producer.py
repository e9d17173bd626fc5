"""An outside service that sends events to the app by plain Celery; it has no jobmonitor.

BROKER_URL=redis://… python deploy/event_producer.py NAME…
"""

from __future__ import annotations

import os
import sys

from celery import Celery


def send(*names: str) -> None:
    """Send an event with each name."""
    with Celery("service", broker=os.environ["BROKER_URL"]) as service:
        for name in names:
            service.send_task("celery_app.handle_event", [{"name": name, "seconds": 5.0}])


if __name__ == "__main__":
    send(*sys.argv[1:])
