"""The app of the acceptance and fault tests in this process, and real workers for it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

import celery.app.builtins  # noqa: F401  registers Celery's own tasks for every later app
import pytest
from celery import _state as celery_state

from tests.brokers import redis_of
from tests.workers import Worker, workers

APP = "tests.acceptance.app"


@pytest.fixture(scope="module")
def environment(
    database_url: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the app and its workers read from their environment."""
    directory = tmp_path_factory.mktemp("trace")
    return {
        "JOBMONITOR_DATABASE_URL": database_url,
        "BROKER_URL": broker_url,
        "RESULT_URL": redis_of(broker_url),
        "TRACE_FILE": str(directory / "trace"),
    }


@contextmanager
def imported_app(name: str, environment: dict[str, str]) -> Iterator[ModuleType]:
    """Import an app module anew, for the servers that the environment names."""
    before = dict(os.environ)
    os.environ.update(environment)
    finalizers = set(celery_state._on_app_finalizers)
    sys.modules.pop(name, None)
    module = importlib.import_module(name)
    yield module
    module.app.close()
    module.monitor.database.close()
    celery_state._on_app_finalizers = finalizers
    os.environ.clear()
    os.environ.update(before)


@contextmanager
def tasks_beside(name: str) -> Iterator[ModuleType]:
    """Import a module with more tasks of the app anew; its workers need `--include`."""
    sys.modules.pop(name, None)
    yield importlib.import_module(name)
    del sys.modules[name]


@pytest.fixture(scope="module")
def shop(environment: dict[str, str]) -> Iterator[ModuleType]:
    """The app, imported anew for this module's servers."""
    with imported_app(APP, environment) as module:
        yield module


@pytest.fixture(scope="module")
def worker(
    shop: ModuleType, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    """One worker with two processes, for the tests that do not kill it."""
    with workers(Worker(APP, environment, tmp_path_factory.mktemp("log"))) as (one,):
        yield one


@pytest.fixture
def start_worker(
    shop: ModuleType, environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Worker]]:
    """Start workers that end with the test; keywords as of Worker."""
    with ExitStack() as stack:

        def start(extra: dict[str, str] | None = None, **options: object) -> Worker:
            one = Worker(APP, environment | (extra or {}), tmp_path, **options)  # type: ignore[arg-type]
            stack.enter_context(workers(one))
            return one

        yield start


@pytest.fixture
def trace(environment: dict[str, str]) -> Iterator[Callable[[], list[str]]]:
    """Read the lines that tasks wrote; the file is empty when the test begins."""
    file = Path(environment["TRACE_FILE"])
    file.unlink(missing_ok=True)
    yield lambda: file.read_text().splitlines() if file.exists() else []


def make_due_now(shop: ModuleType, job_id: str) -> None:
    """Do not wait 30 s and 5 min: publish the next attempt without its delay."""
    job = shop.monitor.jobs.get(job_id)
    if job.status == "pending" and job.due_at:
        with shop.monitor.database.connection() as connection:
            connection.execute(
                "UPDATE job SET due_at = clock_timestamp(), waiting_since = clock_timestamp() "
                "WHERE id = %s",
                (job_id,),
            )
        shop.monitor.jobs.set_low_priority(job_id)
        shop.monitor.jobs.remove_low_priority(job_id)
