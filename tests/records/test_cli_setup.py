"""`jobs migrate`, `jobs token`, and what is said where an app or a server is missing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner

from jobmonitor.cli import jobs as command
from jobmonitor.embedded import create_database, drop_database
from jobmonitor.records.tokens import Bearer, Tokens
from tests.records.cli_world import Terminal

READING = (("list",), ("show", "x"), ("tree", "x"), ("token", "list"))
STEERING = (("stop", "x"), ("low-priority", "set", "x"), ("token", "revoke", "x"))


@pytest.fixture(scope="module")
def terminal(database_url: str, broker_url: str) -> Iterator[Terminal]:
    terminal = Terminal(database_url, broker_url)
    yield terminal
    terminal.close()


@pytest.fixture
def new(database_url: str, broker_url: str) -> Iterator[Terminal]:
    """A terminal before a database without tables."""
    url = create_database(database_url, f"test_{uuid.uuid4().hex}")
    terminal = Terminal(url, broker_url)
    yield terminal
    terminal.close()
    drop_database(url)


def test_migrate_makes_the_tables_and_may_be_run_again(new: Terminal) -> None:
    first = new.run("migrate")
    assert (first.exit_code, first.stdout.startswith("schema ")) == (0, True)
    assert new.run("migrate").stdout == first.stdout.strip() + " already\n"
    assert new.read("list") == {"jobs": [], "cursor": None}


@pytest.mark.parametrize("words", READING + STEERING, ids=" ".join)
def test_a_database_without_tables_is_a_sentence(new: Terminal, words: tuple[str, ...]) -> None:
    answer = new.run(*words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    assert "jobs migrate" in sentence


@pytest.mark.parametrize("words", (*READING, *STEERING, ("migrate",)), ids=" ".join)
def test_a_database_that_is_away_is_a_sentence_without_its_password(
    broker_url: str, words: tuple[str, ...]
) -> None:
    terminal = Terminal("postgresql://someone:sesame@127.0.0.1:1/none", broker_url)
    answer = terminal.run(*words)
    terminal.close()
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    assert "cannot be reached" in sentence
    assert "sesame" not in sentence


@pytest.mark.parametrize("words", (*READING, *STEERING, ("migrate",)), ids=" ".join)
def test_an_app_without_a_jobmonitor_is_told_what_to_add(words: tuple[str, ...]) -> None:
    obj = SimpleNamespace(app=Celery("plain", set_as_current=False))
    answer = CliRunner().invoke(command, words, obj=obj)
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    assert "JobMonitor(app)" in sentence


def test_the_life_of_a_token(terminal: Terminal) -> None:
    secret = terminal.run("token", "create", "ci", "--role", "operator").stdout.strip()
    tokens = Tokens(terminal.monitor.database)
    assert tokens.check(secret) == Bearer("ci", "operator")
    [shown] = terminal.read("token", "list")
    assert (shown["name"], shown["role"], shown["revoked_at"]) == ("ci", "operator", None)
    assert shown["last_used_at"] is not None
    assert secret not in terminal.run("token", "list").stdout
    assert terminal.run("token", "revoke", "ci").exit_code == 0
    assert tokens.check(secret) is None
    [shown] = terminal.read("token", "list")
    assert shown["revoked_at"] is not None


def test_a_name_is_taken_until_it_is_revoked(terminal: Terminal) -> None:
    create = ("token", "create", "taken", "--role", "viewer")
    assert terminal.run(*create).exit_code == 0
    again = terminal.run(*create)
    assert (again.exit_code, again.stdout) == (1, "")
    assert "there is a token 'taken' already" in again.stderr
    terminal.run("token", "revoke", "taken")
    assert terminal.run(*create).exit_code == 0


def test_a_token_needs_a_role_that_exists(terminal: Terminal) -> None:
    assert terminal.run("token", "create", "x").exit_code == 2
    assert terminal.run("token", "create", "x", "--role", "admin").exit_code == 2


def test_an_unknown_token_cannot_be_revoked(terminal: Terminal) -> None:
    answer = terminal.run("token", "revoke", "nobody")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "there is no token 'nobody'" in answer.stderr
