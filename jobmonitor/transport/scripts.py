"""The Lua verbs: one file each in `lua/`, run by their hash, loaded where a server lacks them.

Runs in: producers and consumers.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import NoScriptError

_DIRECTORY = Path(__file__).parent / "lua"
_ORDER_HERE = "-- {order}\n"


class Script:
    """One verb on the keys of one queue."""

    def __init__(self, verb: str) -> None:
        own = (_DIRECTORY / f"{verb}.lua").read_text("utf-8")
        order = (_DIRECTORY / "order.lua").read_text("utf-8")
        self.text = own.replace(_ORDER_HERE, order)
        self.sha = sha1(self.text.encode()).hexdigest()  # as Redis names it

    def run(self, client: redis.Redis, base: str, *arguments: Any) -> Any:
        """Run it once; a server that was restarted or flushed gets it again."""
        try:
            return client.evalsha(self.sha, 1, base, *arguments)
        except NoScriptError:
            self.load(client)
            return client.evalsha(self.sha, 1, base, *arguments)

    def load(self, client: redis.Redis) -> None:
        """Let a server know it."""
        client.script_load(self.text)


@cache
def script(verb: str) -> Script:
    """Read a verb from its file, once a process."""
    return Script(verb)
