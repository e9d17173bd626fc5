"""Beside the pool in every worker: presence, rescue, force stop, ends that main writes.

Runs in: the worker's main process; `install` in every process that adopts an app.
"""

from __future__ import annotations

import os
from typing import Any

from billiard.process import current_process
from celery import signals as celery_signals

from jobmonitor.current import runs_one_job_at_a_time
from jobmonitor.worker.limits import RateLimits
from jobmonitor.worker.steps import JobMonitorStep, UnrunnableStep


def install(monitor: Any) -> None:
    """Put our steps into the app's workers, and prepare each pool process when it starts."""
    monitor.app.steps["worker"].add(JobMonitorStep)
    monitor.app.steps["consumer"].update((RateLimits, UnrunnableStep))
    celery_signals.worker_process_init.connect(_prepare, weak=False)


def _prepare(**_: Any) -> None:
    """Runs in each process of prefork, and in the worker itself under solo."""
    runs_one_job_at_a_time()
    if current_process()._name != "MainProcess":
        _lead_own_group()


def _lead_own_group() -> None:
    """Let a force stop kill what a job started and nothing else."""
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
