"""An app that was there before: tasks of every kind, adopted last, after some were touched."""

from __future__ import annotations

import os

from celery import Celery, Task, shared_task

from jobmonitor import JobMonitor, JobTask, current_job

app = Celery("late", broker=os.environ.get("BROKER_URL", "memory://"))
app.conf.result_backend = os.environ.get("RESULT_URL")
app.conf.worker_deduplicate_successful_tasks = bool(os.environ.get("DEDUPLICATE"))


class Base(Task):
    """A base class of the app's own that overrides __call__."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        return ["called", super().__call__(*args, **kwargs)]


class ByClass(Task):
    name = "late.by_class"

    def run(self, word: str) -> str:
        return f"{word} {current_job().id is not None}"


@app.task(name="late.touched")
def touched(word: str) -> str:
    return f"{word} {current_job().id is not None}"


touched.delay  # noqa: B018  evaluates it before the app is adopted


@app.task(name="late.with_base", base=Base)
def with_base(word: str) -> str:
    return f"{word} {current_job().id is not None}"


@app.task(name="late.bound", bind=True)
def bound(self: Task, word: str) -> str:
    return f"{word} {self.request.id == current_job().id}"


@shared_task(name="late.shared")
def shared(word: str) -> str:
    return f"{word} {current_job().id is not None}"


@app.task(name="late.untracked", track=False)
def untracked(word: str) -> str:
    touched.delay("from an untracked task")
    return f"{word} {current_job().id is not None}"


@app.task(name="late.submits_untracked")
def submits_untracked() -> None:
    untracked.delay("inside")


@app.task(name="late.recursive")
def recursive(depth: int) -> int:
    return depth if depth == 0 else recursive(depth - 1)


app.register_task(ByClass())
app.finalize()
monitor = JobMonitor(app, restartable=["late.touch*"])


@app.task(name="late.afterwards", base=JobTask, label=lambda word: f"Say {word}")
def afterwards(word: str) -> str:
    return f"{word} {current_job().id is not None}"


class RunsAlone(JobTask):
    """A base class that calls `run` by itself."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        return ["own", current_job().id is not None, self.run(*args, **kwargs)]


@app.task(name="late.runs_alone", base=RunsAlone)
def runs_alone(word: str) -> str:
    return f"{word} {current_job().id is not None}"
