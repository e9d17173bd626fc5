"""Bearer tokens: what is stored, who they stand for, when they end."""

from __future__ import annotations

import hashlib
from datetime import datetime

import pytest

from jobmonitor.errors import TokenRefused
from jobmonitor.records.tokens import Bearer, Tokens
from tests.factories import Records


@pytest.fixture
def tokens(records: Records) -> Tokens:
    records.sql("TRUNCATE api_token")
    return Tokens(records.database)


def last_use(tokens: Tokens) -> datetime | None:
    """When the only token was last used."""
    [token] = tokens.list()
    return token["last_used_at"]


def test_a_secret_is_long_random_and_marked_as_ours(tokens: Tokens) -> None:
    secrets = {tokens.create(f"t{number}", "viewer") for number in range(5)}
    assert len(secrets) == 5
    assert all(secret.startswith("jm_") and len(secret) == 46 for secret in secrets)


def test_only_the_digest_of_a_secret_is_stored(tokens: Tokens, records: Records) -> None:
    secret = tokens.create("ci", "viewer")
    [(digest, whole)] = records.sql("SELECT digest, t::text FROM api_token t")
    assert bytes(digest) == hashlib.sha256(secret.encode()).digest()
    assert secret not in whole
    assert secret.removeprefix("jm_") not in whole


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_secret_stands_for_its_name_and_role(tokens: Tokens, role: str) -> None:
    assert tokens.check(tokens.create("ci", role)) == Bearer("ci", role)


@pytest.mark.parametrize("change", ["", "x", "jm_", "\0", "ü" * 40, "\ud800", "y" * 10_000])
def test_what_is_not_a_secret_stands_for_nobody(tokens: Tokens, change: str) -> None:
    secret = tokens.create("ci", "viewer")
    assert tokens.check(change) is None
    assert tokens.check(secret[:-1]) is None
    assert tokens.check(secret.upper()) is None
    assert last_use(tokens) is None


def test_the_last_use_is_written_at_most_once_a_minute(
    tokens: Tokens, records: Records
) -> None:
    secret = tokens.create("ci", "viewer")
    assert last_use(tokens) is None
    tokens.check(secret)
    first = last_use(tokens)
    assert first is not None
    tokens.check(secret)
    assert last_use(tokens) == first
    records.sql("UPDATE api_token SET last_used_at = last_used_at - interval '61 s'")
    tokens.check(secret)
    again = last_use(tokens)
    assert again is not None
    assert again >= first


def test_a_revoked_token_stands_for_nobody_and_stays_listed(tokens: Tokens) -> None:
    secret = tokens.create("ci", "operator")
    tokens.revoke("ci")
    assert tokens.check(secret) is None
    [shown] = tokens.list()
    assert "ci" in shown["name"]
    assert shown["revoked_at"] is not None
    with pytest.raises(TokenRefused, match="there is no token 'ci'"):
        tokens.revoke("ci")


def test_the_name_of_a_revoked_token_is_free_again(tokens: Tokens) -> None:
    old = tokens.create("ci", "operator")
    with pytest.raises(TokenRefused, match="already"):
        tokens.create("ci", "viewer")
    tokens.revoke("ci")
    new = tokens.create("ci", "viewer")
    assert (tokens.check(old), tokens.check(new)) == (None, Bearer("ci", "viewer"))
    tokens.revoke("ci")
    assert [token["revoked_at"] is None for token in tokens.list()] == [False, False]


@pytest.mark.parametrize("name", ["", "x" * 101, "a\0b", "\ud800"])
def test_a_name_that_makes_no_sense_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(TokenRefused, match="1 to 100 characters"):
        tokens.create(name, "viewer")
    assert tokens.list() == []
