"""What gevent does to an attempt from outside: its pool ends greenlets by raising in them.

Runs in: the process that runs the task. gevent is not imported here: where it is not, nothing
of this can have happened.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def is_killed(error: BaseException) -> bool:
    """Say whether the greenlet was told to end."""
    return _is(error, "greenlet", "GreenletExit")


def is_over_limit(error: BaseException, limits: Iterable[float | None]) -> bool:
    """Say whether a time limit of the pool passed, and not a timeout of the task's own."""
    return _is(error, "gevent", "Timeout") and getattr(error, "seconds", None) in {
        limit for limit in limits if limit
    }


def patched_too_late() -> bool:
    """Say whether psycopg was imported before its waiting could become cooperative."""
    from psycopg import waiting

    return waiting.wait is getattr(waiting, "wait_c", None)


def _is(error: BaseException, module: str, name: str) -> bool:
    kind: Any = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
