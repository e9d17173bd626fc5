"""What the command line offers, and what a celery command pays for that it is there."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import click
import pytest
from click.testing import CliRunner

from jobmonitor.cli import jobs

READING = (
    ("list",), ("show",), ("tree",), ("logs",), ("stats",), ("queues",), ("workers",),
    ("token", "list"), ("quarantine", "list"),
)  # fmt: skip
OPERATIONS = (
    ("stop",), ("resume",), ("force-stop",), ("cancel",), ("restart",), ("low-priority",),
)  # fmt: skip
SETUP = (
    ("migrate",),
    ("token", "create"),
    ("token", "revoke"),
    ("demo",),
    ("pause",),
    ("unpause",),
    ("quarantine", "show"),
    ("quarantine", "put-back"),
    ("quarantine", "drop"),
    ("drain",),
)
HEAVY = {"sqlalchemy", "psycopg", "alembic", "celery", "kombu", "redis", "flask"}


def command(*words: str) -> click.Command:
    """Find a command by its words, as click does."""
    found: click.Command = jobs
    for word in words:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, f"there is no command {words}"
        found = inner
    return found


def options(*words: str) -> set[str]:
    """The options of a command."""
    return {name for parameter in command(*words).params for name in parameter.opts}


def test_celery_learns_of_the_commands_from_the_entry_point() -> None:
    [found] = [point for point in entry_points(group="celery.commands") if point.name == "jobs"]
    assert found.load() is jobs


def test_the_plug_in_loads_nothing_until_a_command_runs() -> None:
    code = "import sys; import jobmonitor.cli; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert {name.partition(".")[0] for name in shown.stdout.split()} & HEAVY == set()


def test_every_command_is_listed_with_a_sentence() -> None:
    shown = CliRunner().invoke(jobs, ["--help"]).output
    for words in (*READING, *OPERATIONS, *SETUP):
        [line] = [line for line in shown.splitlines() if line.startswith(f"  {words[0]} ")]
        assert line.strip() != words[0]
        assert command(*words).get_short_help_str()


@pytest.mark.parametrize("words", READING + OPERATIONS, ids=" ".join)
def test_what_is_shown_can_be_had_as_json(words: tuple[str, ...]) -> None:
    assert "--json" in options(*words)


@pytest.mark.parametrize("words", OPERATIONS, ids=" ".join)
def test_an_operation_says_who_and_why(words: tuple[str, ...]) -> None:
    assert {"--reason", "--as"} <= options(*words)


def test_list_has_the_filters_of_the_api() -> None:
    assert options("list") >= {
        "--status", "--type", "--errors", "--low-priority", "--system", "--all", "--run-by",
        "--root", "--parent", "--q", "--limit", "--cursor",
    }  # fmt: skip


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    answer = CliRunner().invoke(jobs, ["explode"])
    assert (answer.exit_code, "explode" in answer.stderr) == (2, True)


def test_an_operation_without_an_id_is_a_usage_error() -> None:
    assert CliRunner().invoke(jobs, ["stop"]).exit_code == 2
