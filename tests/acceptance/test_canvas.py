"""Canvases give the same results, in the same order, as without jobmonitor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.canvases import CANVASES, NEED_CHORDS, ONLY_REDIS
from tests.workers import REPOSITORY, Worker, die_with_parent, workers

APP = "tests.acceptance.canvas_app"
#: which children a result knows is a race in plain Celery, where a sibling ends the chord
_SHAPES_DIFFER = {*NEED_CHORDS, *ONLY_REDIS}
Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """What came of every canvas: plainly, and with jobmonitor on two result backends."""
    database = f"db+{environment['JOBMONITOR_DATABASE_URL']}"
    of = {
        "plain": environment | {"PLAIN": "1", "QUEUE": "plain"},
        "redis": environment | {"QUEUE": "on-redis"},
        "postgres": environment | {"RESULT_URL": database, "QUEUE": "on-postgres"},
    }
    logs = tmp_path_factory.mktemp("log")
    with workers(*(Worker(APP, own, logs) for own in of.values())):
        programs = {kind: _submitter(own) for kind, own in of.items()}
        yield {kind: _answer(program) for kind, program in programs.items()}


def _submitter(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.canvases"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
    )  # fmt: skip


def _answer(program: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = program.communicate(timeout=100)
    assert program.returncode == 0
    return json.loads(said)


@pytest.mark.parametrize("backend", ["redis", "postgres"])
@pytest.mark.parametrize("name", [*CANVASES, *NEED_CHORDS])
def test_a_canvas_gives_what_it_gave_before(
    outcomes: Outcomes, name: str, backend: str
) -> None:
    (before, shape_before), (now, shape_now) = (
        outcomes[kind][name] for kind in ("plain", backend)
    )
    assert now == before
    if name not in _SHAPES_DIFFER:
        assert shape_now == shape_before


@pytest.mark.parametrize("name", [*ONLY_REDIS])
def test_a_canvas_that_only_redis_can_do_gives_what_it_gave_before(
    outcomes: Outcomes, name: str
) -> None:
    assert outcomes["redis"][name][0] == outcomes["plain"][name][0]


def test_no_canvas_merely_times_out(outcomes: Outcomes) -> None:
    lost = {
        (kind, name): value
        for kind, found in outcomes.items()
        for name, (value, _) in found.items()
        if str(value).startswith(("TimeoutError", "NotRegistered"))
    }
    assert not lost
