"""Refusals of a server that lives: for kombu and Celery they are a connection that was lost.

Runs in: producers and consumers. A server whose disk is full, that became a replica or runs a
script for too long answers with an error. To kombu that is an error of a channel, at which a
Celery worker ends; told as a lost connection, workers connect again until the server takes
commands, or another one has its place.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import ConnectionError, NoPermissionError, ResponseError

#: what a server answers that will take commands again, or that is no longer the one to ask
_PASSING = {
    "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY",
    "TRYAGAIN", "UNBLOCKED",
}  # fmt: skip


class ServerRefusedError(ConnectionError):
    """The server lives and refuses for now; it says why."""


class Refusing:
    """Stands before a connection of redis-py and tells refusals as such."""

    def read_response(self, *given: Any, **options: Any) -> Any:
        """Read one answer; raises ServerRefusedError, or what redis-py raises."""
        try:
            return super().read_response(*given, **options)  # type: ignore[misc]
        except NoPermissionError as error:
            user = getattr(self, "username", None) or "default"
            raise NoPermissionError(
                f"the Redis user {user} may not do this: {error}; ACL LOG says what was "
                "refused, global_keyprefix is what its keys begin with"
            ) from error
        except ResponseError as error:
            code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
            if code not in _PASSING:
                raise
            raise ServerRefusedError(_said(code, str(error))) from error


def refusing(connection_class: type) -> type:
    """Make a connection class of redis-py tell refusals."""
    return type(connection_class.__name__, (Refusing, connection_class), {})


def _said(code: str, words: str) -> str:
    return words if words.startswith(code) else f"{code} {words}"
