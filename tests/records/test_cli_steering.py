"""`jobs stop`, `resume`, `force-stop`, `cancel`, `restart`, `low-priority` on real records."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

import pytest

from tests.records.cli_world import Terminal

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def cut_off(database_url: str) -> Iterator[Terminal]:
    """A terminal of the same jobs that cannot reach the broker."""
    terminal = Terminal(database_url, NOWHERE)
    yield terminal
    terminal.close()


def test_a_job_is_steered_through_its_life_in_words(terminal: Terminal) -> None:
    job_id = terminal.submit_running()
    story = [
        ("stop", "Stopping"), ("force-stop", "Stopped"), ("resume", "Pending"),
        ("stop", "Stopped"), ("cancel", "Canceled"),
    ]  # fmt: skip
    for operation, status in story:
        answer = terminal.run(operation, job_id)
        assert (answer.exit_code, answer.stderr) == (0, "")
        assert answer.stdout == f"{operation} {job_id}: {status}\n"
        assert terminal.read("show", job_id)["status"] == status.lower()


def test_a_force_stop_says_where_the_pool_cannot_kill(terminal: Terminal) -> None:
    job_id = terminal.submit_running()
    terminal.records.worker("w1", pool="threads")
    terminal.run("stop", job_id)
    assert terminal.run("force-stop", job_id).stdout == (
        f"force-stop {job_id}: Stopped (fenced out, not killed: a threads pool cannot kill a "
        "job; what it still does is not recorded, and it ends at its next checkpoint)\n"
    )


def test_a_force_stop_of_a_tree_counts_what_it_could_not_kill(terminal: Terminal) -> None:
    root, first, second = terminal.submit_family()
    for job_id in (first, second):
        terminal.records.claim(job_id)
    terminal.records.worker("w1", pool="gevent")
    terminal.run("stop", root)
    assert "3 jobs were fenced out, not killed" in terminal.run("force-stop", root).stdout


def test_a_finished_job_is_restarted_in_a_new_run(terminal: Terminal) -> None:
    job_id = terminal.submit_running()
    terminal.records.finish(job_id)
    assert terminal.run("restart", job_id).stdout == f"restart {job_id}: Pending\n"
    assert terminal.read("show", job_id)["run"] == 2


def test_low_priority_is_set_and_removed(terminal: Terminal) -> None:
    job_id = terminal.submit()
    for word, is_low in (("set", True), ("remove", False)):
        assert terminal.run("low-priority", word, job_id).exit_code == 0
        assert terminal.read("show", job_id)["low_priority"] is is_low
        again = terminal.run("low-priority", word, job_id)
        assert (again.exit_code, again.stdout) == (1, "")
        assert "low priority" in again.stderr


def test_an_operation_on_a_tree_counts_the_descendants(terminal: Terminal) -> None:
    root, first, second = terminal.submit_family()
    assert terminal.run("stop", root).stdout == f"stop {root}: Stopping, 2 descendants\n"
    assert terminal.records.status(first, second) == "stopped stopped"
    assert terminal.run("resume", first).stdout == f"resume {first}: Pending\n"


def test_the_answer_in_json_has_an_outcome_for_each_id(terminal: Terminal) -> None:
    root, _, _ = terminal.submit_family()
    assert terminal.read("stop", root, "nobody") == [
        {
            "id": root, "changed": True, "status": "stopping", "descendants_changed": 2,
            "reason": None,
        },
        {
            "id": "nobody", "changed": False, "status": None, "descendants_changed": 0,
            "reason": "there is no job with this id",
        },
    ]  # fmt: skip


def test_what_changed_goes_to_stdout_and_what_did_not_to_stderr(terminal: Terminal) -> None:
    job_id, tidy = terminal.submit(), terminal.submit(task="shop.tidy")
    answer = terminal.run("stop", job_id, tidy, "nobody")
    assert (answer.exit_code, answer.stdout) == (0, f"stop {job_id}: Stopped\n")
    system, unknown = answer.stderr.splitlines()
    assert tidy in system
    assert "system job" in system
    assert "nobody" in unknown
    assert "no job with this id" in unknown


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_an_operation_that_changed_nothing_ends_with_1(
    terminal: Terminal, more: tuple[str, ...]
) -> None:
    job_id = terminal.submit()
    answer = terminal.run("resume", job_id, *more)
    assert answer.exit_code == 1
    assert "only a stopped job can be resumed; this one is Pending" in answer.output
    assert terminal.records.events(job_id) == []


def test_the_audit_says_who_and_why(terminal: Terminal) -> None:
    job_id = terminal.submit()
    terminal.run("stop", job_id, "--as", "alice", "--reason", "lunch")
    terminal.run("resume", job_id)
    entries = terminal.read("show", job_id)["events"]
    assert [(entry["event"], entry["actor"], entry["reason"]) for entry in entries] == [
        ("stop", "alice", "lunch"),
        ("resume", getpass.getuser(), None),
    ]


def test_a_user_without_a_name_is_a_number(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    job_id = terminal.submit()
    assert terminal.run("stop", job_id).exit_code == 0
    [entry] = terminal.read("show", job_id)["events"]
    assert entry["actor"].startswith("uid ")


def test_an_id_does_not_steer_the_terminal(terminal: Terminal) -> None:
    answer = terminal.run("stop", "\x1b[2J")
    assert (answer.exit_code, "\x1b" in answer.output) == (1, False)
    assert "\\x1b[2J" in answer.stderr


def test_a_broker_that_is_away_is_a_sentence_and_changes_nothing(
    terminal: Terminal, cut_off: Terminal
) -> None:
    job_id = terminal.submit()
    answer = cut_off.run("low-priority", "set", job_id)
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    assert "the broker cannot be reached" in sentence
    assert terminal.read("show", job_id)["low_priority"] is False
    assert terminal.records.events(job_id) == []


def test_a_stop_needs_no_broker(terminal: Terminal, cut_off: Terminal) -> None:
    job_id = terminal.submit()
    assert cut_off.run("stop", job_id).stdout == f"stop {job_id}: Stopped\n"


@pytest.mark.parametrize("job_id", ["nobody", "x" * 10_000, "a\udcffb", "\x1b[31m"])
@pytest.mark.parametrize(
    "words",
    [("show",), ("tree",), ("logs",), ("stop",), ("resume",), ("force-stop",), ("cancel",),
     ("restart",), ("low-priority", "set"), ("low-priority", "remove")],
    ids=" ".join,
)  # fmt: skip
def test_an_id_that_is_unknown_or_cannot_be_is_one_short_line(
    terminal: Terminal, words: tuple[str, ...], job_id: str
) -> None:
    answer = terminal.run(*words, job_id)
    assert answer.exit_code == 1
    [line] = answer.output.splitlines()
    assert "there is no job with th" in line
    assert len(line) < 400
    assert line.isprintable()
