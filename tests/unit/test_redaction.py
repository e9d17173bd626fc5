"""What people may see: nothing secret, nothing endless, nothing that Postgres refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobmonitor.redaction import REDACTED, Redactor, cut, storable

SECRET = "hunter22"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(("*password*", "*token*"), shown_max=200)


def login(user: str, password: str, *tokens: str, pin_token: int = 0) -> None:
    """A task with secrets at every kind of place."""


def shown(redactor: Redactor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    result = redactor.arguments(login, args, kwargs)
    return json.loads(result.args), json.loads(result.kwargs)


def test_a_keyword_that_matches_is_hidden(redactor: Redactor) -> None:
    _, kwargs = shown(redactor, user="al", PassWord=SECRET, pin_token=123456)
    assert kwargs == {"user": "al", "PassWord": REDACTED, "pin_token": REDACTED}


def test_a_positional_argument_is_named_by_the_signature(redactor: Redactor) -> None:
    args, _ = shown(redactor, "al", SECRET)
    assert args == ["al", REDACTED]


def test_every_further_positional_argument_has_the_name_of_the_rest(
    redactor: Redactor,
) -> None:
    args, _ = shown(redactor, "al", SECRET, "token-one", "token-two")
    assert args == ["al", REDACTED, REDACTED, REDACTED]


def test_names_are_looked_for_at_any_depth(redactor: Redactor) -> None:
    nested = {"servers": [{"host": "a", "db_password": {"old": "abcdef", "new": [SECRET]}}]}
    result = redactor.arguments(None, (nested,), {})
    assert json.loads(result.args) == [{"servers": [{"host": "a", "db_password": REDACTED}]}]
    assert set(result.secrets) == {"abcdef", SECRET}


def test_a_secret_is_taken_out_of_the_other_arguments(redactor: Redactor) -> None:
    _, kwargs = shown(redactor, password=SECRET, url=f"https://al:{SECRET}@host")
    assert kwargs["url"] == f"https://al:{REDACTED}@host"


def test_what_cannot_be_inspected_shows_its_arguments(redactor: Redactor) -> None:
    assert json.loads(redactor.arguments(dict.fromkeys, ("al",), {}).args) == ["al"]


def test_short_and_empty_values_are_no_secrets_to_look_for(redactor: Redactor) -> None:
    result = redactor.arguments(None, (), {"password": "abc", "token": None, "token2": True})
    assert result.secrets == ()


@pytest.mark.parametrize(
    "secret", [SECRET, 'pa"ss', "pa'ss\\word", "päss", "two\nlines", "\ud800abc"]
)
def test_a_secret_is_in_no_text_however_it_is_quoted(redactor: Redactor, secret: str) -> None:
    secrets = redactor.arguments(None, (), {"password": secret}).secrets
    for text in (secret, repr(secret), json.dumps(secret), f"ValueError: {secret!r} is wrong"):
        clean = redactor.text(f"({text})", secrets)
        assert REDACTED in clean
        assert secret not in clean


@pytest.mark.parametrize("secret", [SECRET, 'pa"ss', "päss", "two\nlines"])
def test_a_result_that_holds_a_secret_is_shown_without_it(
    redactor: Redactor, secret: str
) -> None:
    value = {"echo": [f"<{secret}>"], secret: 1}
    text, is_whole = redactor.value(value, (secret,))
    assert json.loads(text) == {"echo": [f"<{REDACTED}>"], REDACTED: 1}
    assert not is_whole


@pytest.mark.parametrize("value", [123456, [123456], {"n": 123456}, 123456.0, 1234567])
def test_a_result_stays_json_where_a_number_is_the_secret(
    redactor: Redactor, value: Any
) -> None:
    text, _ = redactor.value(value, ("123456",))
    assert "123456" not in text
    json.loads(text)


def endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value", [endless(), Unspeakable(), [Unspeakable()], 10**5000],
    ids=["endless", "unspeakable", "a list of such", "a number with 5,000 digits"],
)  # fmt: skip
def test_a_result_that_cannot_be_shown_says_so(redactor: Redactor, value: Any) -> None:
    text, is_whole = redactor.value(value)
    assert "cannot be shown" in json.loads(text)
    assert not is_whole


@pytest.mark.parametrize("value", [None, 1, "é", [1, "a", None], {"a": {"b": [True]}}, "\0"])
def test_a_plain_result_is_shown_whole(redactor: Redactor, value: Any) -> None:
    text, is_whole = redactor.value(value)
    assert json.loads(text) == value
    assert is_whole


@pytest.mark.parametrize(
    "value", [{"my_token": 1}, {1, 2}, "x" * 500], ids=["hidden", "replaced", "cut"]
)
def test_a_result_that_is_shown_changed_is_not_whole(redactor: Redactor, value: Any) -> None:
    assert redactor.value(value)[1] is False


def test_a_long_text_is_cut_in_the_middle(redactor: Redactor) -> None:
    text = redactor.text("a" * 1_000 + "the end")
    assert text.startswith("aaa")
    assert text.endswith("the end")
    assert "808 characters cut" in text


def test_a_long_argument_stays_json(redactor: Redactor) -> None:
    text = redactor.arguments(None, ("x" * 10_000,), {}).args
    assert "characters cut" in json.loads(text)


def test_a_text_is_what_postgres_takes() -> None:
    assert storable("a\0b\ud800c") == "a\ufffdb?c"
    storable("a\0b\ud800c").encode()


def test_a_short_text_is_not_cut() -> None:
    assert cut("four", 4) == "four"
    assert cut("a" * 6, 3) == "aa … 3 characters cut … a"
