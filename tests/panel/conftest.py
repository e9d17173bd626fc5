"""A panel over real servers, and jobs in it that no worker runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from flask import Flask
from flask.testing import FlaskClient

from flask_panel import create_app
from jobmonitor import JobMonitor
from jobmonitor.records.tokens import Tokens
from jobmonitor.records.users import Users
from tests.factories import Records


@pytest.fixture(scope="module")
def monitor(database_url: str, broker_url: str) -> Iterator[JobMonitor]:
    app = Celery("panel", broker=broker_url, set_as_current=False)
    monitor = JobMonitor(app, database_url=database_url)

    @app.task(name="panel.work", restartable=True, shared=False)
    def work(*args: Any, **kwargs: Any) -> None: ...

    @app.task(name="panel.tidy", system=True, shared=False)
    def tidy() -> None: ...

    app.finalize()
    yield monitor
    app.close()
    monitor.database.close()


@pytest.fixture(scope="module")
def panel(monitor: JobMonitor) -> Flask:
    return create_app(monitor, TESTING=True, PROPAGATE_EXCEPTIONS=False)


@pytest.fixture(scope="module")
def tokens(monitor: JobMonitor) -> dict[str, str]:
    made = Tokens(monitor.database)
    return {role: made.create(f"a-{role}", role) for role in ("viewer", "operator")}


@pytest.fixture
def client(panel: Flask) -> FlaskClient:
    return panel.test_client()


@pytest.fixture
def viewer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['viewer']}"}


@pytest.fixture
def operator(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['operator']}"}


@pytest.fixture
def submit(monitor: JobMonitor) -> Callable[..., str]:
    """Submit a job that waits, since no worker runs; its id."""

    def submit(*args: Any, task: str = "panel.work", **options: Any) -> str:
        return str(monitor.app.tasks[task].apply_async(args, **options).id)

    return submit


@pytest.fixture(scope="module")
def users(monitor: JobMonitor) -> dict[str, str]:
    """One user of each role, named after it; their passwords."""
    passwords = {role: f"the {role}'s own password" for role in ("viewer", "operator")}
    for role, password in passwords.items():
        Users(monitor.database).create(role, role, password)
    return passwords


@pytest.fixture(scope="module")
def sessions(monitor: JobMonitor, users: dict[str, str]) -> dict[str, str | None]:
    """The secret of an open session of each user; scrypt is slow, and only then needed."""
    known = Users(monitor.database)
    return {role: known.log_in(role, password) for role, password in users.items()}


@pytest.fixture
def log_in(panel: Flask, sessions: dict[str, str | None]) -> Callable[..., FlaskClient]:
    """Make a browser in which a user of a role is logged in, past the form."""

    def log_in(role: str) -> FlaskClient:
        browser = panel.test_client()
        browser.get("/login")
        with browser.session_transaction() as session:
            session["_user_id"] = sessions[role]
        return browser

    return log_in


@pytest.fixture
def reader(log_in: Callable[..., FlaskClient]) -> FlaskClient:
    """A browser of a viewer."""
    return log_in("viewer")


@pytest.fixture
def steerer(log_in: Callable[..., FlaskClient]) -> FlaskClient:
    """A browser of an operator."""
    return log_in("operator")


@pytest.fixture(scope="module")
def records_of_module(database_url: str) -> Iterator[Records]:
    """One pool of connections for the tests of a module."""
    records = Records(database_url)
    yield records
    records.database.close()


@pytest.fixture
def records(records_of_module: Records) -> Records:
    """No jobs, and the living worker w1."""
    records_of_module.clear()
    records_of_module.worker("w1")
    return records_of_module
