"""What is checked before a worker consumes anything: one clear sentence, then it ends.

Runs in: the worker's main process.
"""

from __future__ import annotations

import logging
from typing import Any

from jobmonitor.errors import ConfigurationError, JobMonitorError, WrongProtocol
from jobmonitor.records.database import check_schema
from jobmonitor.records.prepared import waits_in_c
from jobmonitor.task_options import options_of

logger = logging.getLogger(__name__)


def check_or_exit(monitor: Any, pool_cls: Any) -> None:
    """End the worker with the sentence of what is wrong; SystemExit, status 1."""
    try:
        check_app(monitor.app)
        check_tasks(monitor)
        check_pool(pool_cls)
        check_schema(monitor.database)
    except JobMonitorError as error:
        raise SystemExit(f"jobmonitor: {error}") from error


def check_app(app: Any) -> None:
    """Refuse settings of the app under which jobs would be lost or run twice."""
    conf = app.conf
    if conf.task_protocol != 2:
        raise WrongProtocol()
    if conf.worker_deduplicate_successful_tasks:
        raise ConfigurationError(
            "worker_deduplicate_successful_tasks is on: a restarted job would be taken for a "
            "duplicate; turn it off, the claim in Postgres already lets nothing run twice"
        )
    if conf.worker_cancel_long_running_tasks_on_connection_loss:
        raise ConfigurationError(
            "worker_cancel_long_running_tasks_on_connection_loss is on: it kills jobs that go "
            "on well without the broker; turn it off"
        )


def check_tasks(monitor: Any) -> None:
    """Refuse a task with an option that makes no sense."""
    for name, task in monitor.app.tasks.items():
        if not name.startswith("celery."):
            options_of(task, monitor.settings, name)


def check_pool(pool_cls: Any) -> None:
    """Refuse greenlets that a statement of one job would hold up for all."""
    if pool_cls.is_green and waits_in_c():
        name = pool_cls.__module__.rpartition(".")[2]
        raise ConfigurationError(
            f"psycopg was imported before {name} patched Python, so one job's statement would "
            f"hold up all others; start it by `celery -A your_app worker --pool={name}`"
        )


def say_what_changed(monitor: Any) -> None:
    """Say once which tasks may now run again where they did not before."""
    names = sorted(set(monitor.made_late))
    again = [n for n in names if _reruns(monitor.app.tasks.get(n))]
    if again:
        shown = ", ".join(again[:20]) + (f" and {len(again) - 20} more" if again[20:] else "")
        logger.warning(
            "jobmonitor: these tasks are now acknowledged after they ran, and run again when "
            "their worker is lost; say on_worker_lost='fail' where one must not: %s", shown
        )  # fmt: skip


def _reruns(task: Any) -> bool:
    return getattr(task, "on_worker_lost", "rerun") != "fail"
