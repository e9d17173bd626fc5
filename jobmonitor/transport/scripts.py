"""The Lua verbs: one file each in `lua/`, together one library of functions of the server.

A server that lacks the library gets it where a call finds no function. Its name and that of
each function hold a digest of the text, so that releases which differ run beside each other.
Runs in: producers and consumers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import ResponseError

_DIRECTORY = Path(__file__).parent / "lua"
#: what the verbs share, in this order
_SHARED = ("library", "order", "leases", "classes")


@dataclass(frozen=True, slots=True)
class Script:
    """One verb on the keys of one queue."""

    #: of the function, as the server knows it
    name: str

    def run(self, client: redis.Redis, base: str, *arguments: Any) -> Any:
        """Run it once; a server that lacks the library gets it."""
        try:
            return client.fcall(self.name, 1, base, *arguments)
        except ResponseError as error:
            if not is_missing(error):
                raise
        load(client)
        return client.fcall(self.name, 1, base, *arguments)

    def command(self, *keys: str, arguments: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return what is sent to a server for it."""
        return ("FCALL", self.name, len(keys), *keys, *arguments)


def is_missing(error: Exception) -> bool:
    """Whether a server said that it lacks the library: nothing was done, `load` helps."""
    return isinstance(error, ResponseError) and "Function not found" in str(error)


def load(client: redis.Redis) -> None:
    """Let a server know all verbs; safe where it does already."""
    client.function_load(library(), replace=True)


@cache
def library() -> str:
    """Put the library together from its files, once a process."""
    return f"#!lua name={_prefix()[:-1]}\n" + _text().replace("{prefix}", _prefix())


@cache
def script(verb: str) -> Script:
    """Return a verb: the function of the file of that name."""
    return Script(_prefix() + verb)


@cache
def _prefix() -> str:
    return f"fair_{sha1(_text().encode()).hexdigest()[:12]}_"


@cache
def _text() -> str:
    shared = [(_DIRECTORY / f"{name}.lua").read_text("utf-8") for name in _SHARED]
    verbs = sorted(file for file in _DIRECTORY.glob("*.lua") if file.stem not in _SHARED)
    # a function of Lua has at most 200 local names: those of a verb are its own
    return "".join([*shared, *(f"do\n{file.read_text('utf-8')}end\n" for file in verbs)])
