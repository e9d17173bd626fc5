"""Bearer tokens of programs: made, checked, revoked. Only a hash of the secret is kept.

Runs in: command line and panel.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import psycopg

from jobmonitor.errors import TokenRefused
from jobmonitor.records.database import Database
from jobmonitor.redaction import storable

_PREFIX = "jm_"
_NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token stands for: `operator` may change jobs, `viewer` only read."""

    name: str
    role: str


class Tokens:
    """The tokens of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, role: str) -> str:
        """Make a token and return its secret, which is not kept.

        Raises TokenRefused for a name that is taken or makes no sense.
        """
        if not 0 < len(name) <= _NAME_MAX or storable(name) != name:
            raise TokenRefused(f"a token's name has 1 to {_NAME_MAX} characters, without NUL")
        secret = _PREFIX + secrets.token_urlsafe(32)
        facts = {"name": name, "role": role, "digest": _digest(secret)}
        try:
            self._database.rows("create_token", facts)
        except psycopg.errors.UniqueViolation as error:
            raise TokenRefused(f"there is a token {name!r} already; revoke it first") from error
        return secret

    def check(self, secret: str) -> Bearer | None:
        """Say whom a secret stands for, or None; its last use is kept to the minute."""
        found = self._database.row("check_token", {"digest": _digest(secret)})
        return Bearer(found.name, found.role) if found else None

    def list(self) -> list[dict[str, Any]]:
        """List all tokens, oldest first."""
        return [row._asdict() for row in self._database.rows("list_tokens", {})]

    def revoke(self, name: str) -> None:
        """Let a token open nothing any more; its name is free again. Raises TokenRefused."""
        if self._database.row("revoke_token", {"name": name}) is None:
            raise TokenRefused(f"there is no token {name!r}")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
