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
        self._good = json.dumps({"state": self.state})

    def place(self, key: str) -> dict[str, Any]:
        """Where an iteration got to: `cursor` of its last finished item, `done`, `ended`."""
        return self._places.setdefault(key, {"cursor": None, "done": 0, "ended": False})

    def forget_inside(self, path: str) -> None:
        """Drop the places of iterations and the steps inside an item that is finished."""
        self.steps = {step for step in self.steps if not step.startswith(path)}
        for key in [key for key in self._places if key.startswith(path)]:
            del self._places[key]

    def as_json(self, limit: int) -> str:
        """Write them down. Raises CheckpointRefused, and goes back to the last good state."""
        document: dict[str, Any] = {"state": self.state}
        if self._places:
            document["iterate"] = self._places
        if self.steps:
            document["steps"] = sorted(self.steps)
        try:
            text = json.dumps(document, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._refused(f"a checkpoint must be JSON: {error}") from error
        if len(text) > limit:
            raise self._refused(
                f"the checkpoint has {len(text):,} bytes; at most {limit:,} are accepted "
                "(setting checkpoint_max): save a position, not the data"
            )
        self._good = text
        return text

    def _refused(self, why: str) -> CheckpointRefused:
        """Keep what was saved before; the same is not tried again."""
        self.unsaved = False
        self.state = json.loads(self._good)["state"]
        return CheckpointRefused(why)
