"""How values are shown to people; durations and moments: panel/test_statistics_page.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import flask_panel
from flask_panel.shown import number, percent, pretty, seconds, status_word
from jobmonitor.states import Status


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (0, "0 %"), (33.3, "33.3 %"), (100.0, "100 %")]
)
def test_unknown_is_not_zero_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (0, "0"), (1_234_567, "1,234,567"), (0.5, "0.5")]
)
def test_a_number_has_separators(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("status", Status)
def test_a_status_that_is_kept_as_text_has_its_word(status: Status) -> None:
    assert status_word(status.value) == status.shown


@pytest.mark.parametrize("word", ["", "sleeping", "<b>"])
def test_a_status_that_is_none_is_shown_as_it_is(word: str) -> None:
    assert status_word(word) == word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a text", "a text"), (None, "null"), ({"a": [1]}, '{\n  "a": [\n    1\n  ]\n}'),
        (["é"], '[\n  "é"\n]'), (json.loads('"\\ud800"'), "?"),
        (json.loads('["\\udfff"]'), '[\n  "?"\n]'),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_value_is_shown_over_several_lines_and_a_page_can_hold_it(
    value: Any, text: str
) -> None:
    assert pretty(value) == text
    assert pretty(value).encode()


def test_a_script_counts_on_in_the_same_form() -> None:
    """The limits and the words of both; that they agree is seen in a browser."""
    source = (Path(flask_panel.__file__).parent / "static" / "panel.js").read_text()
    [body] = re.findall(r"function seconds\(value\) \{\n(.*?)\n  \}", source, re.DOTALL)
    assert re.findall(r"< ([\d.]+)", body) == ["59.95", "3600", "1440"]
    shown = (seconds(5), seconds(65), seconds(3_700), seconds(90_000))
    assert shown == ("5.0 s", "1 min 05 s", "1 h 02 min", "1 d 01 h")
    assert re.findall(r"\} (s|min|h|d)\b", body) == ["s", "min", "s", "h", "min", "d", "h"]
