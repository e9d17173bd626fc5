"""`jobs logs` over real records."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from jobmonitor.cli import logs as module
from tests.records.cli_world import Terminal
from tests.records.test_logs import log


def shown(terminal: Terminal, *words: str) -> list[str]:
    """What comes behind the logger in each line."""
    lines = terminal.run("logs", *words).stdout.splitlines()
    return [line.partition("shop: ")[2] for line in lines]


def test_the_newest_lines_are_shown_in_their_order(terminal: Terminal) -> None:
    job = terminal.submit_running()
    log(terminal.records, job, *"abc")
    assert shown(terminal, job) == ["a", "b", "c"]
    assert shown(terminal, job, "--limit", "2") == ["b", "c"]


def test_lines_are_found_by_level_and_text(terminal: Terminal) -> None:
    job = terminal.submit_running()
    log(terminal.records, job, "quiet")
    log(terminal.records, job, "loud", level=40)
    assert shown(terminal, job, "--level", "error") == ["loud"]
    assert shown(terminal, job, "--q", "QUI") == ["quiet"]
    assert "must be" in terminal.run("logs", job, "--level", "x").stderr


def test_a_line_cannot_steer_the_terminal(terminal: Terminal) -> None:
    job = terminal.submit_running()
    log(terminal.records, job, "bell \a\x1b[31m\nsecond", logger="sh\x1bop")
    output = terminal.run("logs", job).stdout
    assert output.endswith("sh\\x1bop: bell \\x07\\x1b[31m\n    second\n")


def test_json_is_one_line_each(terminal: Terminal) -> None:
    job = terminal.submit_running()
    log(terminal.records, job, "a\nb", "c")
    lines = [
        json.loads(line)
        for line in terminal.run("logs", job, "--json").stdout.split("\n")
        if line
    ]
    assert [line["message"] for line in lines] == ["a\nb", "c"]
    assert set(lines[0]) == {
        "id", "at", "run", "attempt", "level", "level_name", "logger", "message",
    }  # fmt: skip


def test_following_ends_with_the_job_and_misses_no_line(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.01)
    job = terminal.submit_running()
    log(terminal.records, job, "before")

    def rest() -> None:
        for number in range(5):
            log(terminal.records, job, f"line {number}")
        terminal.records.finish(job)

    later = threading.Timer(0.2, rest)
    later.start()
    assert shown(terminal, job, "--follow") == ["before", *(f"line {n}" for n in range(5))]
    later.join()


def test_a_job_that_is_not_there_is_a_sentence(terminal: Terminal) -> None:
    result: Any = terminal.run("logs", "nobody")
    assert (result.exit_code, "there is no job" in result.stderr) == (1, True)
