"""Named places where a test can end the process, to prove what a crash there costs.

Runs in: every process. `JOBMONITOR_FAILPOINT=name:kill` (once: the file named by
`JOBMONITOR_FAILPOINT_ONCE` is created first, and nothing happens while it exists).
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

VARIABLE = "JOBMONITOR_FAILPOINT"
ONCE_VARIABLE = "JOBMONITOR_FAILPOINT_ONCE"


def reach(name: str) -> None:
    """Kill this process with SIGKILL where the environment names this place."""
    if os.environ.get(VARIABLE) != f"{name}:kill":
        return
    once = os.environ.get(ONCE_VARIABLE)
    if once:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
