"""A database with all tables, empty when a test begins, and a terminal on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import Records
from tests.records.cli_world import Terminal


@pytest.fixture(scope="module")
def database_of_module(database_url: str) -> Iterator[Records]:
    """One pool of connections for the tests of a module."""
    records = Records(database_url)
    yield records
    records.database.close()


@pytest.fixture
def records(database_of_module: Records) -> Records:
    """No jobs, and the living workers w1 and w2."""
    database_of_module.clear()
    database_of_module.worker("w1")
    database_of_module.worker("w2")
    return database_of_module


@pytest.fixture(scope="module")
def terminal_of_module(database_url: str, broker_url: str) -> Iterator[Terminal]:
    """One app for the commands of a module's tests."""
    terminal = Terminal(database_url, broker_url)
    yield terminal
    terminal.close()


@pytest.fixture
def terminal(terminal_of_module: Terminal) -> Terminal:
    """Where the commands are called; no jobs."""
    terminal_of_module.clear()
    return terminal_of_module
