"""An outside service that sends events to the app, by plain Celery: it has no jobmonitor."""

from __future__ import annotations

import os
import sys

from celery import Celery

app = Celery("service", broker=os.environ["BROKER_URL"])


def send(name: str, seconds: float = 3) -> str:
    """Send one event; the id of its job."""
    event = {"name": name, "seconds": seconds}
    return str(app.send_task("celery_app.handle_event", ({**event},)).id)


if __name__ == "__main__":
    for name in sys.argv[1:] or ["order-paid"]:
        sys.stdout.write(f"{send(name)}\n")
