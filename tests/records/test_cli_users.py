"""`jobs user`: who may log in to the panel."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from jobmonitor.cli import jobs as command
from jobmonitor.records.users import User, Users
from tests.records.cli_world import Terminal

PASSWORD = "a long pass phrase"
OTHER = "another pass phrase"
CREATE = ("user", "create", "ann", "--role", "viewer")


@pytest.fixture(scope="module")
def terminal(database_url: str, broker_url: str) -> Iterator[Terminal]:
    terminal = Terminal(database_url, broker_url)
    yield terminal
    terminal.close()


@pytest.fixture
def users(terminal: Terminal) -> Users:
    terminal.records.sql("TRUNCATE panel_user, panel_session")
    return Users(terminal.monitor.database)


@pytest.fixture
def ann(users: Users) -> Users:
    """There is a viewer `ann`."""
    users.create("ann", "viewer", PASSWORD)
    return users


def type_in(terminal: Terminal, typed: str, *words: str) -> Result:
    """Type `jobs …`, and then what it asks for."""
    obj = SimpleNamespace(app=terminal.app)
    return CliRunner().invoke(command, words, obj=obj, input=typed, catch_exceptions=False)


def refusal(answer: Result) -> str:
    """The one sentence that says why not."""
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    return sentence


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nmore\n"])
def test_a_password_comes_from_stdin_without_its_line_end(
    terminal: Terminal, users: Users, end: str
) -> None:
    answer = type_in(terminal, PASSWORD + end, *CREATE, "--password-stdin")
    assert (answer.exit_code, answer.stdout) == (0, "user ann may log in as viewer\n")
    assert users.log_in("ann", PASSWORD)


def test_a_password_is_asked_for_twice_and_never_shown(
    terminal: Terminal, users: Users
) -> None:
    answer = type_in(terminal, f"{PASSWORD}\n{PASSWORD}\n", *CREATE)
    assert answer.exit_code == 0
    assert "10 characters or more" in answer.output
    assert PASSWORD not in answer.output
    assert users.log_in("ann", PASSWORD)


def test_two_passwords_that_differ_are_asked_for_again(
    terminal: Terminal, users: Users
) -> None:
    typed = f"{PASSWORD}\n{OTHER}\n{OTHER}\n{OTHER}\n"
    assert type_in(terminal, typed, *CREATE).exit_code == 0
    assert users.log_in("ann", PASSWORD) is None
    assert users.log_in("ann", OTHER)


def test_who_gives_up_at_the_question_makes_no_user(terminal: Terminal, users: Users) -> None:
    assert type_in(terminal, "", *CREATE).exit_code == 1
    assert users.list() == []


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("ann", "short", "10 to 1,000 characters; this one has 5"),
        ("ann", "", "10 to 1,000 characters; this one has 0"),
        ("a\nb", PASSWORD, "1 to 100 printable characters"),
        ("", PASSWORD, "1 to 100 printable characters"),
    ],
)
def test_a_name_or_password_that_cannot_be_taken_is_a_sentence(
    terminal: Terminal, users: Users, name: str, password: str, says: str
) -> None:
    words = ("user", "create", name, "--role", "viewer", "--password-stdin")
    assert says in refusal(type_in(terminal, password, *words))
    assert users.list() == []


def test_a_name_that_is_taken_is_a_sentence(terminal: Terminal, ann: Users) -> None:
    answer = type_in(terminal, OTHER, *CREATE, "--password-stdin")
    assert "there is a user 'ann' already" in refusal(answer)
    assert ann.log_in("ann", PASSWORD)


@pytest.mark.parametrize(
    "words",
    [
        ("create", "bob"), ("create", "bob", "--role", "admin"), ("role", "ann"),
        ("role", "ann", "--role", "admin"), ("create", "--role", "viewer"), ("remove",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_command_without_a_role_that_exists_or_a_name_is_wrong_usage(
    terminal: Terminal, ann: Users, words: tuple[str, ...]
) -> None:
    assert terminal.run("user", *words).exit_code == 2
    assert [user["role"] for user in ann.list()] == ["viewer"]


def test_users_are_listed_for_people_and_programs(terminal: Terminal, ann: Users) -> None:
    ann.log_in("ann", PASSWORD)
    [shown] = terminal.read("user", "list")
    assert (shown["name"], shown["role"], shown["sessions"]) == ("ann", "viewer", 1)
    assert set(shown) == {"name", "role", "created_at", "last_login_at", "sessions"}
    heads, row = terminal.run("user", "list").stdout.splitlines()
    assert heads.split("  ")[0] == "name"
    assert row.split()[:2] == ["ann", "viewer"]


@pytest.mark.usefixtures("users")
def test_no_user_is_an_empty_list(terminal: Terminal) -> None:
    assert terminal.read("user", "list") == []
    assert len(terminal.run("user", "list").stdout.splitlines()) == 1


def test_a_new_password_counts_and_logs_out(terminal: Terminal, ann: Users) -> None:
    secret = ann.log_in("ann", PASSWORD)
    answer = type_in(terminal, OTHER, "user", "password", "ann", "--password-stdin")
    assert (answer.exit_code, answer.stdout) == (0, "user ann has a new password\n")
    assert ann.session(secret or "") is None
    assert ann.log_in("ann", OTHER)


def test_a_new_role_counts_at_once(terminal: Terminal, ann: Users) -> None:
    secret = ann.log_in("ann", PASSWORD)
    answer = terminal.run("user", "role", "ann", "--role", "operator")
    assert (answer.exit_code, answer.stdout) == (0, "user ann is operator now\n")
    assert ann.session(secret or "") == User("ann", "operator")


def test_a_removed_user_is_gone(terminal: Terminal, ann: Users) -> None:
    secret = ann.log_in("ann", PASSWORD)
    assert terminal.run("user", "remove", "ann").stdout == "user ann is removed\n"
    assert ann.session(secret or "") is None
    assert ann.list() == []


@pytest.mark.parametrize(
    "words",
    [
        ("remove", "nobody"), ("role", "nobody", "--role", "viewer"),
        ("password", "nobody", "--password-stdin"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_user_is_a_sentence(
    terminal: Terminal, ann: Users, words: tuple[str, ...]
) -> None:
    answer = type_in(terminal, PASSWORD, "user", *words)
    assert "there is no user 'nobody'" in refusal(answer)
    assert len(ann.list()) == 1
