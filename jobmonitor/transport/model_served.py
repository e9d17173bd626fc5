"""What the model's roots received, by the minute."""

from __future__ import annotations

import math

from jobmonitor.transport.model_roots import Lease

_MINUTE = 60_000.0
_ROOTS = 5_000


class Served:
    """The execution time that roots received; the server forgets it after an hour."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, float]] = {}

    def count(self, now: float, lease: Lease, ms: float) -> None:
        """Add to what the root of a lease received; of too many roots only to the sum."""
        minute = self.of.setdefault(math.floor(now / _MINUTE), {})
        minute["total"] = minute.get("total", 0.0) + ms
        field = f"r{lease.root}"
        if field in minute:
            minute[field] += ms
        elif minute.get("roots", 0) < _ROOTS:
            minute["weights"] = minute.get("weights", 0.0) + lease.weight
            minute["roots"] = minute.get("roots", 0) + 1
            minute[field] = ms
