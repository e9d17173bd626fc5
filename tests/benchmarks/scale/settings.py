"""How large it is: read from the environment, and the rows of the table."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

#: messages that wait, in each shape
WAITING = int(os.environ.get("BENCH_WAITING", 1_000_000))
#: consumers, each with a connection, and jobs that are measured in each shape
CONSUMERS = int(os.environ.get("BENCH_CONSUMERS", 500))
JOBS = int(os.environ.get("BENCH_JOBS", 20_000))
#: seconds that the ceiling is looked for with each number of processes, and how many at most
SECONDS = float(os.environ.get("BENCH_SECONDS", 8))
PROCESSES = int(os.environ.get("BENCH_PROCESSES", 4))

#: so many roots share what waits; the last is that of ten messages a root
SHAPES = (1, 10, max(WAITING // 10, 10))
#: microseconds that no call of a script may take, and how much more a job may cost among many
LONGEST, FLAT = 5_000, 1.5


@dataclass(slots=True)
class Row:
    """One line of the table: what was measured, by the number of roots."""

    name: str
    bound: str = ""
    holds: bool = True
    values: dict[int, str] = field(default_factory=dict)


def say(text: str) -> None:
    """Tell how far it is, beside the table."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
