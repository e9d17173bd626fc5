"""Waiting for a condition, instead of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T],
    within: float = 10.0,
    every: float = 0.02,
    says: str = "the condition holds",
) -> T:
    """Ask until the answer is true, and return it; after `within` seconds fail and say what."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {says} (last answer: {answer!r})")
        time.sleep(every)
