"""How text, times and tables are printed in a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from jobmonitor.cli import terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 日本 ✓", "plain ü 日本 ✓"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\x9b31m", "\\x9b31m"),
        ("\x07\x00\x7f", "\\x07\\x00\\x7f"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\u2028\ud800", "\\u2028\\ud800"),
    ],
)
def test_what_would_steer_the_terminal_is_escaped(text: str, shown: str) -> None:
    assert terminal.safe(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "—"), (0.0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"),
        (3_599, "59 min 59 s"), (3_600, "1 h 00 min"), (90_061, "25 h 01 min"),
    ],
)  # fmt: skip
def test_a_duration_reads_as_people_say_it(value: float | None, shown: str) -> None:
    assert terminal.seconds(value) == shown


def test_a_moment_is_shown_in_the_zone_of_the_terminal() -> None:
    moment = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert terminal.moment(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert terminal.moment(None) == "—"


def test_a_table_is_aligned_and_cuts_the_widest_cells_to_fit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [("1", "x" * 80, "end", "e" * 40), ("2000", "\x1b[31mred", "y" * 50, "e")]
    terminal.table(("id", "name", "more", "last"), rows, fit=(1, 2))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 100
    head, first, second = lines
    columns = [head.index(word) for word in ("id", "name", "more", "last")]
    for row, cells in ((first, ("1", "xx", "end", "e")), (second, ("2000", "\\x", "yy", "e"))):
        assert all(row[at:].startswith(cell) for at, cell in zip(columns, cells, strict=True))
        assert "…  " in row


def test_json_holds_times_in_iso_8601_and_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.print_json({"at": datetime(2026, 3, 1, tzinfo=UTC), "text": "\x1b[2J\x9b"})
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x9b"} & set(shown)
    assert json.loads(shown) == {"at": "2026-03-01T00:00:00+00:00", "text": "\x1b[2J\x9b"}
