"""JobTask, the base class, and the mixin that adoption gives to every task.

Runs in: submitters (apply_async) and the process that runs the task (the rest). Methods
stand in the order of a job's life.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import Task
from celery.app.trace import task_has_custom

from jobmonitor.attempt import Execution
from jobmonitor.current import running_job
from jobmonitor.dispatch import HEADER, number_of
from jobmonitor.queues import is_for_all
from jobmonitor.submission import child_id
from jobmonitor.task_options import is_tracked

_REQUEST = "jobmonitor.worker.request:JobRequest"
#: on a request whose task was called: what calls it again is part of it
_ENTERED = "jobmonitor_entered"


class JobMixin:
    """What a task gets by adoption: keyed children, claim and record around its run."""

    _execution: Execution | None = None
    _has_own_call = False
    _has_own_start = False
    #: whether the app asked for Celery's STARTED; ours is stored after the claim
    track_started_by_app = False

    def apply_async(self, *given: Any, **options: Any) -> Any:
        """Submit; also takes run_by, low_priority, label, system, detached and key.

        Inside a job's `iterate` or `step`, or with `key=`, the id follows from the key, so that
        a repeat after a crash meets the job that is there. All else goes on as it was given:
        a class of the app's own may stand behind this.
        """
        job = running_job()
        has_id = len(given) > 2 or options.get("task_id") is not None
        if not has_id and job is not None and job.active and not options.get("detached"):
            key = options.get("key") or job.child_key()
            if key is not None:
                options |= {"key": key, "task_id": child_id(job, key)}
        return super().apply_async(*given, **options)  # type: ignore[misc]

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Leave the app's own to the claim, so that nothing of a refused delivery runs."""
        if not self._runs_job():
            super().before_start(task_id, args, kwargs)  # type: ignore[misc]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; as a job where a worker delivered it, plainly everywhere else."""
        request = self.request  # type: ignore[attr-defined]
        if request.called_directly or request.get(_ENTERED):
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        setattr(request, _ENTERED, True)
        _hide_header(request)
        call = super().__call__ if self._has_own_call else self.run  # type: ignore[misc,attr-defined]
        if self._execution is None or not self._runs_job():
            return call(*args, **kwargs)
        if self._has_own_start:
            call = partial(self._start, call)
        return self._execution.run(self, call, args, kwargs)

    def _runs_job(self) -> bool:
        """Say whether this very call runs a job that a worker was given."""
        request = self.request  # type: ignore[attr-defined]
        if request.called_directly or request.is_eager:
            return False
        if number_of(request) is not None:
            return True
        return is_tracked(self.name, self) and not is_for_all(self.app, request.delivery_info)  # type: ignore[attr-defined]

    def _start(self, call: Any, *_: Any, **__: Any) -> Any:
        """Call the app's `before_start`, then the task with what that made of its arguments."""
        request = self.request  # type: ignore[attr-defined]
        super().before_start(request.id, request.args, request.kwargs)  # type: ignore[misc]
        return call(*request.args, **request.kwargs)

    def replace(self, sig: Any) -> Any:
        """Let another signature stand in for this job; it keeps the row."""
        job = running_job()
        if job is not None and job.id == self.request.id:  # type: ignore[attr-defined]
            job.tail.replaced = True
        return super().replace(sig)  # type: ignore[misc]


class JobTask(Task):
    """A task base class for apps that prefer to name it: `@app.task(base=JobTask)`.

    It is adopted as every other: what a subclass overrides is called inside the job.
    """

    abstract = True


def adopt_task(task: Any, execution: Execution) -> list[str]:
    """Give a task instance the mixin and the options correctness needs.

    Returns what changed in how it is acknowledged, for the sentence at start-up. Idempotent.
    """
    if getattr(task, "_execution", None) is not None:
        return []
    changed = []
    if not is_tracked(task.name, task):
        if not task.name.startswith("celery."):
            return []
    elif task.acks_late is not True:
        changed.append(task.name)
        if _base_says_early(task) and not hasattr(task, "on_worker_lost"):
            task.on_worker_lost = "fail"
    members = {
        "_execution": execution,
        "_has_own_call": task_has_custom(task, "__call__"),
        "_has_own_start": task_has_custom(task, "before_start"),
        "__module__": type(task).__module__,
        "__doc__": type(task).__doc__,
    }
    base = type(task)
    task.__class__ = type(base.__name__, (JobMixin, base), members)
    if is_tracked(task.name, task) or task.name == "celery.accumulate":
        _harden(task)
    return changed


def _harden(task: Any) -> None:
    """Set what correctness needs, remembering what the app itself had said."""
    task.track_started_by_app = bool(task.track_started)
    task.track_started = False
    task.acks_on_failure = task.acks_on_failure or not task.acks_late
    task.acks_late = True
    task.acks_on_timeout = True
    task.reject_on_worker_lost = True
    task.retry_on_worker_lost = False
    task.request_of_app = task.Request
    task.Request = _REQUEST


def _hide_header(request: Any) -> None:
    """Take ours out of the headers that the task sees, which are the app's own."""
    if request.headers and HEADER in request.headers:
        own = {name: value for name, value in request.headers.items() if name != HEADER}
        request.headers = own or None


def _base_says_early(task: Any) -> bool:
    """Say whether a base class says acks_late=False; Celery binds its default to no base."""
    bases = type(task).__mro__[1:]
    return any(base.__dict__.get("acks_late") is False for base in bases)
