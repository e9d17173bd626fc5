"""How long it takes: read from the environment, and the rows of the table."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from tests.benchmarks.fair.jobs import KINDS as ALL_KINDS

#: parts of a whole run by their letters, and the kinds beside the fair one
ONLY = [name for name in os.environ.get("BENCH_ONLY", "A,B,C,D,E,F,G,H,I,L").split(",") if name]
KINDS = [k for k in ALL_KINDS if k in os.environ.get("BENCH_KINDS", ",".join(ALL_KINDS))]
#: children in bulk in A, messages that wait in H
BACKLOG = int(os.environ.get("BENCH_BACKLOG", 100_000))
WAITING = int(os.environ.get("BENCH_WAITING", 1_000_000))
#: no-op jobs of a drain in G and H, and how often
JOBS = int(os.environ.get("BENCH_JOBS", 4_000))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", 5))
#: all windows of A to F are so many times as long
SCALE = float(os.environ.get("BENCH_SCALE", 1.0))

#: the unit: jobs sleep so long, in seconds
UNIT = 0.1


@dataclass(slots=True)
class Row:
    """One line of the table: what was measured, by kind or by columns of its own."""

    name: str
    bound: str = ""
    holds: bool = True
    ping: float = 0.0
    values: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ALL_KINDS

    def is_held(self, holds: bool, ping: float) -> None:
        """Note whether the bound holds, and the PING of that run."""
        self.holds, self.ping = holds, ping


def seconds(kind: str, of_fair: float) -> float:
    """How long a window is: the comparison needs no precision."""
    share = {"fair": 1.0, "count": 0.5}.get(kind, 0.2)
    return max(of_fair * share * SCALE, 4.0)


def say(text: str) -> None:
    """Tell how far it is, beside the table."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
