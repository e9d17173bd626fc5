"""What people may see of arguments, results and errors: redacted, cut, and storable.

Runs in: submitters and pool children.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
_SHORTEST_SECRET = 4
_NAMES_KNOWN = 10_000


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
        self._known: dict[str, bool] = {}

    def arguments(
        self, run: Callable[..., Any] | None, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> Shown:
        """Show arguments; positional ones are named by the signature of `run` where known."""
        found: list[str] = []
        shown_args, shown_kwargs = self._hidden(run, args, kwargs, found)
        secrets = _distinct(found)
        return Shown(
            self._json(_scrubbed(shown_args, secrets)),
            self._json(_scrubbed(shown_kwargs, secrets)),
            secrets,
        )

    def secrets(
        self, run: Callable[..., Any] | None, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Find the secret values among arguments, longest first."""
        found: list[str] = []
        self._hidden(run, args, kwargs, found)
        return _distinct(found)

    def value(self, value: Any, secrets: Iterable[str] = ()) -> tuple[str, bool]:
        """Show a return value as JSON text; True where nothing is hidden, cut or replaced."""
        try:
            text = self._json(_scrubbed(self._hide("", value, []), tuple(secrets)))
            return text, text == json.dumps(value)
        except Exception:  # a value's own repr may raise anything, and must not end its job
            return _unshowable(value), False

    def text(self, text: str, secrets: Iterable[str] = ()) -> str:
        """Show a text of a job: without its secret values, storable, cut in the middle."""
        return cut(storable(scrub(text, tuple(secrets))), self._shown_max)

    def _hidden(
        self,
        run: Callable[..., Any] | None,
        args: Iterable[Any],
        kwargs: Mapping[str, Any],
        found: list[str],
    ) -> tuple[list[Any], dict[str, Any]]:
        names = _positions(run)
        try:
            return self._hidden_by(names, args, kwargs, found)
        except RecursionError:  # such a message may still be sent, or refused by its serializer
            return ["arguments that are nested too deeply to be shown"], {}

    def _hidden_by(
        self, names: Any, args: Iterable[Any], kwargs: Mapping[str, Any], found: list[str]
    ) -> tuple[list[Any], dict[str, Any]]:
        return (
            [self._hide(names[i], value, found) for i, value in enumerate(args)],
            {str(k): self._hide(str(k), v, found) for k, v in kwargs.items()},
        )

    def _is_secret(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = any(fnmatchcase(name.lower(), pattern) for pattern in self._patterns)
            if len(self._known) < _NAMES_KNOWN:
                self._known[name] = known
        return known

    def _hide(self, name: str, value: Any, found: list[str]) -> Any:
        if name and self._is_secret(name):
            _collect(value, found)
            return REDACTED
        if isinstance(value, Mapping):
            return {str(k): self._hide(str(k), v, found) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._hide("", item, found) for item in value]
        return value

    def _json(self, value: Any) -> str:
        try:
            text = json.dumps(value, default=repr, skipkeys=True)
        except Exception:  # as above
            return _unshowable(value)
        if len(text) <= self._shown_max:
            return text
        return json.dumps(cut(text, self._shown_max))


def scrub(text: str, secrets: tuple[str, ...]) -> str:
    """Take secrets out of a text, also as repr and JSON write them."""
    for secret in secrets:
        for form in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}:
            text = text.replace(form, REDACTED)
    return text


def storable(text: str) -> str:
    """Make a text that Postgres takes: no NUL, no lone surrogate; of an id also a number."""
    return str(text).replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def words(value: Any, make: Callable[[Any], str] = str) -> str:
    """Make a text of a value of the app's own, whatever its own method for that does."""
    try:
        return make(value)
    except Exception as error:
        return f"[the text of this {type(value).__name__} raised {type(error).__name__}]"


def cut(text: str, limit: int) -> str:
    """Cut the middle out of a long text, and say how much."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]} … {len(text) - head - tail:,} characters cut … {text[-tail:]}"


class _Positions:
    """The names of positional arguments; *args repeats its own."""

    def __init__(self, run: Callable[..., Any] | None) -> None:
        self._names: list[str] = []
        self._rest = ""
        try:
            parameters = inspect.signature(run).parameters.values() if run else ()
        except (TypeError, ValueError):
            parameters = ()
        for parameter in parameters:
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = parameter.name
                break
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                break
            self._names.append(parameter.name)

    def __getitem__(self, index: int) -> str:
        return self._names[index] if index < len(self._names) else self._rest


def _positions(run: Callable[..., Any] | None) -> _Positions:
    """Names of a task's arguments; asking `inspect` at each job took a tenth of its time."""
    try:
        return _known_positions(run)
    except TypeError:  # a callable that cannot be hashed
        return _Positions(run)


@lru_cache(maxsize=1_000)
def _known_positions(run: Callable[..., Any] | None) -> _Positions:
    return _Positions(run)


def _distinct(found: Iterable[str]) -> tuple[str, ...]:
    kept = {secret for secret in found if len(secret) >= _SHORTEST_SECRET}
    return tuple(sorted(kept, key=len, reverse=True))


def _collect(value: Any, found: list[str]) -> None:
    if isinstance(value, Mapping):
        for item in value.values():
            _collect(item, found)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _collect(item, found)
    elif isinstance(value, bytes):
        found.append(value.decode("utf-8", "replace"))
    elif value is not None and not isinstance(value, bool):
        found.append(str(value))


def _scrubbed(value: Any, secrets: tuple[str, ...]) -> Any:
    """Take secrets out of the strings, keys and numbers of a value."""
    if not secrets:
        return value
    if isinstance(value, Mapping):
        return {scrub(str(k), secrets): _scrubbed(v, secrets) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(item, secrets) for item in value]
    if value is None or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else repr(value)
    clean = scrub(text, secrets)
    return value if clean == text else clean


def _unshowable(value: Any) -> str:
    return json.dumps(f"a {type(value).__name__} that cannot be shown")
