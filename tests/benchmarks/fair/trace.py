"""What ran when, and the quantities that are read from it (fairness.md 2.7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One execution; seconds since 1970, and the latency from publish to start."""

    root: str
    published: float
    began: float
    ended: float

    @property
    def latency(self) -> float:
        """From its publish to its start."""
        return self.began - self.published

    def within(self, since: float, until: float) -> float:
        """The seconds of it that lie in a window."""
        return max(min(self.ended, until) - max(self.began, since), 0.0)


def read(path: Path) -> list[Run]:
    """Read all that has ended so far, in the order of the starts."""
    lines = path.read_text().splitlines() if path.exists() else []
    parts = [line.split(" ") for line in lines]
    runs = [Run(root, float(p), float(b), float(e)) for root, p, b, e in parts]
    return sorted(runs, key=lambda run: run.began)


def service(runs: Iterable[Run], since: float, until: float) -> dict[str, float]:
    """Seconds of execution in a window, by root."""
    found: dict[str, float] = {}
    for run in runs:
        found[run.root] = found.get(run.root, 0.0) + run.within(since, until)
    return found


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has all."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0


def longest_gap(starts: Sequence[float], since: float, until: float) -> float:
    """The longest part of a window without a start, its two ends included."""
    inside = [since, *sorted(at for at in starts if since < at < until), until]
    return max(after - before for before, after in pairwise(inside))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
