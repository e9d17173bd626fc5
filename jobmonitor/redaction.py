"""What people may see of arguments, results and errors: redacted, cut, and storable.

Runs in: submitters and pool children.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

REDACTED = "[redacted]"
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class Shown:
    """Arguments as JSON text for people, and the secret values found among them."""

    args: str
    kwargs: str
    secrets: tuple[str, ...]


class Redactor:
    """Hides the values of names that match the patterns; cuts texts at `shown_max`."""

    def __init__(self, patterns: Iterable[str], shown_max: int) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._shown_max = shown_max

    def arguments(
        self, run: Callable[..., Any] | None, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> Shown:
        """Show arguments; positional ones are named by the signature of `run` where known."""
        secrets: list[str] = []
        names = _positional_names(run)
        shown_args = [
            self._hide(names[index] if index < len(names) else "", value, secrets)
            for index, value in enumerate(args)
        ]
        shown_kwargs = {str(k): self._hide(str(k), v, secrets) for k, v in kwargs.items()}
        kept = tuple(sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len)[::-1])
        return Shown(self._json(shown_args), self._json(shown_kwargs), kept)

    def value(self, value: Any, secrets: Iterable[str] = ()) -> tuple[str, bool]:
        """Show a return value as JSON text; True where nothing is hidden, cut or replaced."""
        text = self.scrub(self._json(self._hide("", value, [])), secrets)
        try:
            return text, text == json.dumps(value)
        except (TypeError, ValueError, RecursionError):
            return text, False

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """Show a text of a job: without its secret values, storable, cut in the middle."""
        return cut(storable(self.scrub(text, secrets)), self._shown_max)

    def scrub(self, text: str, secrets: Iterable[str]) -> str:
        """Take the secret values out of a text."""
        for secret in secrets:
            text = text.replace(secret, REDACTED)
        return text

    def _is_secret(self, name: str) -> bool:
        lowered = name.lower()
        return any(fnmatchcase(lowered, pattern) for pattern in self._patterns)

    def _hide(self, name: str, value: Any, secrets: list[str]) -> Any:
        if name and self._is_secret(name):
            _collect(value, secrets)
            return REDACTED
        if isinstance(value, Mapping):
            return {str(k): self._hide(str(k), v, secrets) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._hide("", item, secrets) for item in value]
        return value

    def _json(self, value: Any) -> str:
        text = json.dumps(value, default=repr, skipkeys=True)
        if len(text) <= self._shown_max:
            return text
        return json.dumps(cut(text, self._shown_max))


def storable(text: str) -> str:
    """Make a text that Postgres takes: no NUL, no lone surrogate."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def cut(text: str, limit: int) -> str:
    """Cut the middle out of a long text, and say how much."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]} … {len(text) - head - tail:,} characters cut … {text[-tail:]}"


def _positional_names(run: Callable[..., Any] | None) -> list[str]:
    if run is None:
        return []
    try:
        return list(inspect.signature(run).parameters)
    except (TypeError, ValueError):
        return []


def _collect(value: Any, secrets: list[str]) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _collect(item, secrets)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _collect(item, secrets)
    elif isinstance(value, bytes):
        secrets.append(value.decode("utf-8", "replace"))
    elif value is not None and not isinstance(value, bool):
        secrets.append(str(value))
