"""What gevent does to a process: it patches Python, and its pool ends greenlets by raising.

Runs in: every process. gevent is not imported here: where it is not, nothing of this can have
happened.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any


def is_killed(error: BaseException) -> bool:
    """Say whether the greenlet was told to end."""
    return _is(error, "greenlet", "GreenletExit")


def is_over_limit(error: BaseException, limits: Iterable[float | None]) -> bool:
    """Say whether a time limit of the pool passed, and not a timeout of the task's own."""
    return _is(error, "gevent", "Timeout") and getattr(error, "seconds", None) in {
        limit for limit in limits if limit
    }


def native(module: str, name: str) -> Any:
    """Return a function of the standard library as it was before gevent patched it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(import_module(module), name)
    return monkey.get_original(module, name)


def taken_lock() -> Any:
    """Return a lock of native threads that is held already, to be waited for."""
    lock = native("_thread", "allocate_lock")()
    lock.acquire()
    return lock


def _is(error: BaseException, module: str, name: str) -> bool:
    kind: Any = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)
