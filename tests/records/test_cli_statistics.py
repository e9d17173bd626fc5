"""`jobs stats` over real records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.records.cli_world import Terminal

NOON = datetime(2024, 3, 6, 12, tzinfo=UTC)
HOUR = ("stats", "--since", NOON.isoformat(), "--until", "2024-03-06T13:00:00+00:00")


def cells(line: str) -> list[str]:
    """The cells of a line; they are two blanks apart."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_stats_shows_each_bucket_and_a_total(terminal: Terminal) -> None:
    records = terminal.records
    records.make_at(NOON, starts=NOON + timedelta(minutes=1), wait=0.4)
    records.make_at(NOON, starts=NOON + timedelta(minutes=1), wait=125)
    records.make_at(NOON + timedelta(minutes=46))
    head, *lines, total, width = terminal.run(*HOUR, "--bucket", "900").stdout.splitlines()
    assert cells(head) == [
        "from",
        "creations",
        "starts",
        "average wait",
        "min wait",
        "max wait",
    ]
    local = [(NOON + timedelta(minutes=m)).astimezone() for m in (0, 15, 30, 45)]
    assert [cells(line) for line in lines] == [
        [f"{local[0]:%Y-%m-%d %H:%M:%S}", "2", "2", "1 min 03 s", "0.4 s", "2 min 05 s"],
        [f"{local[1]:%Y-%m-%d %H:%M:%S}", "0", "0", "—", "—", "—"],
        [f"{local[2]:%Y-%m-%d %H:%M:%S}", "0", "0", "—", "—", "—"],
        [f"{local[3]:%Y-%m-%d %H:%M:%S}", "1", "0", "—", "—", "—"],
    ]
    assert cells(total) == ["total", "3", "2", "1 min 03 s", "0.4 s", "2 min 05 s"]
    assert width == "each line is 15 minutes"


def test_stats_takes_the_last_24_hours_or_so_long_as_it_is_told(terminal: Terminal) -> None:
    recent, old = terminal.submit(), terminal.submit()
    terminal.records.let_pass(60, recent)
    terminal.records.let_pass(3 * 86_400, old)
    counts = {
        words: terminal.read("stats", *words)["total"]["creations"]
        for words in ((), ("--since", "7d"), ("--since", "1w", "--until", "1440m"))
    }
    assert list(counts.values()) == [1, 2, 1]


def test_stats_leaves_out_system_jobs_and_other_types_as_it_is_told(terminal: Terminal) -> None:
    for task in ("shop.export", "shop.tidy", "shop.tidy"):
        terminal.records.let_pass(60, terminal.submit(task=task))
    terminal.records.let_pass(60, terminal.records.make(type="shop.other"))
    counts = [
        terminal.read("stats", *words)["total"]["creations"]
        for words in (
            (), ("--system",), ("--all",), ("--type", "shop.other"),
            ("--type", "shop.other", "--type", "shop.export"),
        )
    ]  # fmt: skip
    assert counts == [2, 2, 4, 1, 2]


def test_stats_says_where_there_is_nothing(terminal: Terminal) -> None:
    assert terminal.run("stats").stdout == "no job was created or started in this range\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--since", "1m", "--until", "2m"), 1, "since must be before until"),
        (("--since", "90000w"), 1, "since is before 2001"),
        (("--since", "999999w"), 2, "'999999w' is neither"),
        (("--since", "yesterday"), 2, "'yesterday' is neither like 90m, 24h"),
        (("--until", "24"), 2, "'24' is neither"),
        (("--bucket", "7"), 1, "there are no buckets of 7 s"),
        (("--since", "7d", "--bucket", "60"), 1, "at most 500"),
    ],
)
def test_stats_refuses_what_makes_no_sense(
    terminal: Terminal, words: tuple[str, ...], code: int, says: str
) -> None:
    answer = terminal.run("stats", *words)
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert says in answer.stderr
