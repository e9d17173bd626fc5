"""What a checkpoint holds: the task's own state, where each iteration got to, completed steps.

Runs in: the process that runs the task.
"""

from __future__ import annotations

import json
from typing import Any

from jobmonitor.errors import CheckpointRefused


class Marks:
    """The places that a job reached in this run, over all its attempts."""

    def __init__(self, saved: dict[str, Any] | None) -> None:
        saved = saved or {}
        self.state: Any = saved.get("state")
        self.steps: set[str] = set(saved.get("steps", ()))
        self.unsaved = False
        self._places: dict[str, dict[str, Any]] = dict(saved.get("iterate", {}))

    def place(self, key: str) -> dict[str, Any]:
        """Where an iteration got to: `cursor` of its last finished item, `done`, `ended`."""
        return self._places.setdefault(key, {"cursor": None, "done": 0, "ended": False})

    def forget_inside(self, path: str) -> None:
        """Drop the places of iterations and the steps inside an item that is finished."""
        self.steps = {step for step in self.steps if not step.startswith(path)}
        for key in [key for key in self._places if key.startswith(path)]:
            del self._places[key]

    def as_json(self, limit: int) -> str:
        """Write them down; raises CheckpointRefused, and does not try again unchanged."""
        document: dict[str, Any] = {"state": self.state}
        if self._places:
            document["iterate"] = self._places
        if self.steps:
            document["steps"] = sorted(self.steps)
        try:
            text = json.dumps(document, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            self.unsaved = False
            raise CheckpointRefused(f"a checkpoint must be JSON: {error}") from error
        if len(text) > limit:
            self.unsaved = False
            raise CheckpointRefused(
                f"the checkpoint has {len(text):,} bytes; at most {limit:,} are accepted "
                "(setting checkpoint_max)"
            )
        return text
