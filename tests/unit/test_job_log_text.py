"""The text of a line: no escape sequences, no other control characters."""

from __future__ import annotations

import pytest

from jobmonitor.job_log.text import overwritten, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ä 🎈", "plain, ä 🎈"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2K\x1b[1Gcleared\x1b[?25h", "cleared"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bascii\x1b7saved", "asciisaved"),
        ("\x9b31mred", "red"),
        ("bell\x07 back\x08 nul\x00 del\x7f", "bell␇ back␈ nul␀ del␡"),
        ("over\rwritten", "over␍written"),
        ("open \x1b", "open ␛"),
        ("\x85next", "\ufffdnext"),
    ],
)
def test_control_characters_are_shown_or_gone(text: str, shown: str) -> None:
    assert readable(text) == shown


@pytest.mark.parametrize(
    ("text", "stays"),
    [("abc", "abc"), ("10\r20\r30", "30"), ("abc\r", "abc"), ("\r\r", ""), ("", "")],
)
def test_a_carriage_return_goes_back_to_the_begin(text: str, stays: str) -> None:
    assert overwritten(text) == stays
