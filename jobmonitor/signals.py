"""Signals of a job's life, of Celery's own signal class.

Runs in: the process where it happens: the submitter, the pool child, or whoever steers. Each is
sent with `sender` = the task name, `job_id`, and after what it tells is committed.
"""

from celery.utils.dispatch import Signal

job_created = Signal(name="job_created", providing_args={"job_id"})
job_started = Signal(name="job_started", providing_args={"job_id", "attempt"})
job_finished = Signal(name="job_finished", providing_args={"job_id", "has_errors"})
job_stopped = Signal(name="job_stopped", providing_args={"job_id"})
job_resumed = Signal(name="job_resumed", providing_args={"job_id"})
job_canceled = Signal(name="job_canceled", providing_args={"job_id"})
