"""JobTask, the base class, and the mixin that adoption gives to every task.

Runs in: submitters (apply_async) and the process that runs the task (the rest). Methods
stand in the order of a job's life.
"""

from __future__ import annotations

from typing import Any

from celery import Task
from celery.app.trace import task_has_custom

from jobmonitor.attempt import Execution
from jobmonitor.current import running_job
from jobmonitor.dispatch import HEADER
from jobmonitor.submission import child_id
from jobmonitor.task_options import is_tracked

_REQUEST = "jobmonitor.worker.request:JobRequest"


class JobMixin:
    """What a task gets by adoption: keyed children, claim and record around its run."""

    _execution: Execution | None = None
    _has_own_call = False
    #: whether the app asked for Celery's STARTED; ours is stored after the claim
    track_started_by_app = False

    def apply_async(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any
    ) -> Any:
        """Submit; also takes run_by, low_priority, label, system, detached and key.

        Inside a job's `iterate` or `step`, or with `key=`, the id follows from the key, so that
        a repeat after a crash meets the job that is there.
        """
        job = running_job()
        if task_id is None and job is not None and job.active and not options.get("detached"):
            key = options.get("key") or job.child_key()
            if key is not None:
                options["key"] = key
                task_id = child_id(job, key)
        return super().apply_async(args, kwargs, task_id=task_id, **options)  # type: ignore[misc]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; as a job where a worker delivered it, plainly everywhere else."""
        request = self.request  # type: ignore[attr-defined]
        if request.called_directly or request.is_eager or self._execution is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        call = super().__call__ if self._has_own_call else self.run  # type: ignore[misc,attr-defined]
        job = running_job()
        if job is not None and job.active and job.id == request.id:
            return call(*args, **kwargs)
        header = request.get(HEADER) or {}
        if not is_tracked(self.name, self) and "dispatch" not in header:  # type: ignore[attr-defined]
            return call(*args, **kwargs)
        return self._execution.run(self, call, args, kwargs)

    def replace(self, sig: Any) -> Any:
        """Let another signature stand in for this job; it keeps the row."""
        job = running_job()
        if job is not None:
            job.tail.replaced = True
        return super().replace(sig)  # type: ignore[misc]


class JobTask(JobMixin, Task):
    """A task base class for apps that prefer to name it: `@app.task(base=JobTask)`."""

    abstract = True


def adopt_task(task: Any, execution: Execution) -> list[str]:
    """Give a task instance the mixin and the options correctness needs.

    Returns what changed in how it is acknowledged, for the sentence at start-up. Idempotent.
    """
    if getattr(task, "_execution", None) is not None:
        return []
    has_own_call = task_has_custom(task, "__call__") and not isinstance(task, JobMixin)
    changed = []
    if not is_tracked(task.name, task):
        if not task.name.startswith("celery."):
            return []
    elif task.acks_late is not True:
        changed.append(task.name)
    members = {
        "_execution": execution,
        "_has_own_call": has_own_call,
        "__module__": type(task).__module__,
        "__doc__": type(task).__doc__,
    }
    base = type(task)
    bases = (base,) if isinstance(task, JobMixin) else (JobMixin, base)
    task.__class__ = type(base.__name__, bases, members)
    if is_tracked(task.name, task) or task.name == "celery.accumulate":
        _harden(task)
    return changed


def _harden(task: Any) -> None:
    """Set what correctness needs, remembering what the app itself had said."""
    task.track_started_by_app = bool(task.track_started)
    task.track_started = False
    task.acks_late = True
    task.acks_on_failure = True
    task.acks_on_timeout = True
    task.reject_on_worker_lost = True
    task.retry_on_worker_lost = False
    task.Request = _REQUEST
