"""What a canvas says of the tasks in it: which ids they have, which group they belong to.

Runs in: submitters, and the process that runs a task. Works on signatures as they travel in
messages: dicts, whose tasks Celery has given their ids when the canvas was submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

#: Celery's poll for the end of a chord's header, where the result backend cannot count
UNLOCK = "celery.chord_unlock"


def ids_of(signature: Any) -> frozenset[str]:
    """Collect the ids of all tasks in a signature, and of the groups and chains in it."""
    return frozenset(
        options["task_id"]
        for options in map(_options, walk(signature))
        if options.get("task_id")
    )


def walk(signature: Any) -> Iterator[Mapping[str, Any]]:
    """Go through a signature and the signatures it is made of, from the outside in."""
    if isinstance(signature, Mapping):
        yield signature
        for part in _parts(signature):
            yield from walk(part)


def outermost_group(group: str | None, embed: Mapping[str, Any]) -> str | None:
    """Name the outermost group that a message's task is in; None where it is in none.

    A chain carries its group at its last step, a chord at its body.
    """
    follows = _follower(embed)
    while follows is not None:
        options = _options(follows)
        group = options.get("group_id") or group
        follows = _follower(options)
    return group


def groups_of(group: str | None, embed: Mapping[str, Any]) -> set[str]:
    """Name every group that waits for a message's task, directly or behind what follows it."""
    groups = {group} if group else set()
    for follows in [*_of_all(embed.get("chain")), *_of_all(embed.get("chord"))]:
        for options in map(_options, walk(follows)):
            groups |= groups_of(options.get("group_id"), options)
    return groups


def fix_ids(signature: Any, name: str) -> None:
    """Give each task in a signature that has no id yet one that follows from `name`."""
    for position, part in enumerate(walk(signature)):
        if isinstance(part, dict):
            options = part.setdefault("options", {})
            options.setdefault("task_id", str(uuid5(NAMESPACE_OID, f"{name}\n{position}")))


def _follower(embed: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find the task whose end completes what a task is in: chord body, else last step."""
    chain = embed.get("chain")
    follows = embed.get("chord") or (chain[0] if chain else None)
    while isinstance(follows, Mapping):
        kwargs = follows.get("kwargs") or {}
        tasks = kwargs.get("tasks")
        if kwargs.get("body"):
            follows = kwargs["body"]
        elif follows.get("subtask_type") == "chain" and tasks:
            follows = tasks[-1]
        else:
            return follows
    return None


def _parts(signature: Mapping[str, Any]) -> Iterator[Any]:
    kwargs = signature.get("kwargs") or {}
    if signature.get("subtask_type") in {"group", "chain", "chord"}:
        for name in ("tasks", "header", "body"):
            yield from _of_all(kwargs.get(name))


def _of_all(signatures: Any) -> Iterable[Any]:
    if signatures is None:
        return ()
    return (signatures,) if isinstance(signatures, Mapping) else signatures


def _options(signature: Mapping[str, Any]) -> Mapping[str, Any]:
    return signature.get("options") or {}
