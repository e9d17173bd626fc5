"""Tasks that submit while they are steered; a worker gets them by `--include`."""

from __future__ import annotations

import time
from pathlib import Path

from tests.acceptance.app import app, trace, traced


@app.task(system=True)
def guarded(word: str) -> None:
    trace(word)


@app.task(track=False)
def untracked(word: str) -> None:
    trace(word)


@app.task
def submits(queue: str, children: int, marker: str, system: bool) -> None:
    """Submit children, and when the marker is there perhaps a system job; no safe point."""
    for number in range(children):
        traced.apply_async((f"child {number}",), queue=queue)
    untracked.apply_async(("untracked",), queue=queue)
    while not Path(marker).exists():
        time.sleep(0.02)
    if system:
        guarded.apply_async(("guarded",), queue=queue)
