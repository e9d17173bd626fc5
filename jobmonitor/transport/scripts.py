"""The Lua verbs: one file each in `lua/`, run by their hash, loaded where a server lacks them.

Runs in: producers and consumers.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import NoScriptError

_DIRECTORY = Path(__file__).parent / "lua"
#: where a verb includes a file
_INCLUDED = re.compile(r"^-- \{(\w+)\}\n", re.MULTILINE)


class Script:
    """One verb on the keys of one queue."""

    def __init__(self, verb: str) -> None:
        self.text = _INCLUDED.sub(lambda found: _read(found[1]), _read(verb))
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


def _read(name: str) -> str:
    return (_DIRECTORY / f"{name}.lua").read_text("utf-8")


@cache
def script(verb: str) -> Script:
    """Read a verb from its file, once a process."""
    return Script(verb)
