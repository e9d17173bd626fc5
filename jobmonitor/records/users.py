"""People who log in to the panel, and their sessions. Only hashes of secrets are kept.

Runs in: command line and panel. Passwords: scrypt (RFC 7914) with a salt of 16 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from jobmonitor.errors import UserRefused
from jobmonitor.records.database import Database, fetch
from jobmonitor.redaction import storable

ROLES = ("viewer", "operator")
PASSWORD_MIN = 10
_PASSWORD_MAX = 1_000
_NAME_MAX = 100
#: seconds without a request after which a session ends, and after which it ends anyway
SESSION_IDLE = 12 * 3600.0
SESSION_AGE = 7 * 24 * 3600.0
_COST, _BLOCK, _LANES = 2**15, 8, 1


@dataclass(frozen=True, slots=True)
class User:
    """Who is logged in: an `operator` may change jobs, a `viewer` only read."""

    name: str
    role: str


class Users:
    """The users of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- who there is ----------------------------------------------------------------------

    def create(self, name: str, role: str, password: str) -> None:
        """Make a user. Raises UserRefused for a name or a password that cannot be taken."""
        if not 0 < len(name) <= _NAME_MAX or not name.isprintable() or name != name.strip():
            raise UserRefused(f"a user's name has 1 to {_NAME_MAX} printable characters")
        facts = {"name": name, "role": _role(role), "password": _hashed(password)}
        if self._database.row("create_user", facts) is None:
            raise UserRefused(f"there is a user {name!r} already")

    def list(self) -> list[dict[str, Any]]:
        """List all users by name, without their passwords."""
        rows = self._database.rows("list_users", _expiry())
        return [row._asdict() for row in rows]

    def change(
        self, name: str, *, role: str | None = None, password: str | None = None
    ) -> None:
        """Give a user another role or password; a new password ends all sessions.

        Raises UserRefused.
        """
        facts = {
            "name": storable(name),
            "role": None if role is None else _role(role),
            "password": None if password is None else _hashed(password),
        }
        with self._database.transaction() as connection:
            fetch(
                connection, "lock_user", facts
            )  # a login of this moment ends before, or fails
            if not fetch(connection, "change_user", facts):
                raise _unknown(name)

    def remove(self, name: str) -> None:
        """Remove a user, whose sessions end at once. Raises UserRefused."""
        if self._database.row("remove_user", {"name": storable(name)}) is None:
            raise _unknown(name)

    # -- who is logged in ------------------------------------------------------------------

    def log_in(self, name: str, password: str) -> str | None:
        """Open a session and return its secret; None where name or password is wrong.

        Takes as long for a name that does not exist as for a wrong password.
        """
        found = self._database.row("user", {"name": storable(name)})
        stored = found.password if found else _NOBODYS
        if not _is_right(password, stored) or found is None:
            return None
        secret = secrets.token_urlsafe(32)
        facts = {"name": found.name, "password": stored, "digest": _digest(secret)} | _expiry()
        return secret if self._database.row("open_session", facts) else None

    def session(self, secret: str) -> User | None:
        """Say who is logged in with this secret, or None."""
        found = self._database.row("check_session", {"digest": _digest(secret)} | _expiry())
        return User(found.name, found.role) if found else None

    def log_out(self, secret: str) -> None:
        """End a session."""
        self._database.rows("close_session", {"digest": _digest(secret)})

    def key(self) -> bytes:
        """Return what signs the panel's cookies: made once, the same for every process."""
        facts = {"secret": secrets.token_bytes(32)}
        # nothing comes back where another process makes the first one at this moment
        found = self._database.row("panel_key", facts) or self._database.row("panel_key", facts)
        return bytes(found.secret)


def _expiry() -> dict[str, float]:
    return {"idle": SESSION_IDLE, "age": SESSION_AGE}


def _role(role: str) -> str:
    if role not in ROLES:
        raise UserRefused(f"there is no role {role!r}; they are {' and '.join(ROLES)}")
    return role


def _unknown(name: str) -> UserRefused:
    return UserRefused(f"there is no user {name!r}")


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _hashed(password: str) -> str:
    if not PASSWORD_MIN <= len(password) <= _PASSWORD_MAX:
        raise UserRefused(
            f"a password has {PASSWORD_MIN} to {_PASSWORD_MAX:,} characters; this one has "
            f"{len(password)}"
        )
    salt = secrets.token_bytes(16)
    return _stored(salt, _scrypt(password, salt))


def _is_right(password: str, stored: str) -> bool:
    _, cost, block, lanes, salt, wanted = stored.split("$")
    given = _scrypt(password, bytes.fromhex(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(given, bytes.fromhex(wanted))


def _scrypt(
    password: str, salt: bytes, cost: int = _COST, block: int = _BLOCK, lanes: int = _LANES
) -> bytes:
    text = password[: _PASSWORD_MAX + 1].encode("utf-8", "surrogatepass")
    room = 132 * cost * block  # OpenSSL needs 128 N r and some more
    return hashlib.scrypt(text, salt=salt, n=cost, r=block, p=lanes, maxmem=room)


def _stored(salt: bytes, digest: bytes) -> str:
    return f"scrypt${_COST}${_BLOCK}${_LANES}${salt.hex()}${digest.hex()}"


#: the hash of a password that nobody knows
_NOBODYS = _stored(secrets.token_bytes(16), secrets.token_bytes(64))
