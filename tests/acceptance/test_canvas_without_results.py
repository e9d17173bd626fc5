"""Without a result backend chains, groups and links go on; a chord is refused as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import chain, chord, group

from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.canvas_app"


def test_without_a_result_backend_chains_groups_and_links_go_on(
    environment: dict[str, str], tmp_path: Path
) -> None:
    trace = Path(environment["TRACE_FILE"])
    trace.unlink(missing_ok=True)
    own = environment | {"RESULT_URL": ""}
    with imported_app(APP, own) as shop, workers(Worker(APP, own, tmp_path)):
        note = shop.note
        steps = chain(note.s("one"), note.s("two"), note.s("three"))
        steps.apply_async(link=note.s("linked"))
        members = group(note.s("a"), chain(note.s("b"), note.s("c"))).apply_async()
        wanted = {"one", "one two", "two three", "three linked", "a", "b", "b c"}
        eventually(
            lambda: trace.exists() and wanted <= set(trace.read_text().split("\n")), within=20
        )
        job = shop.monitor.jobs.wait_for(members.id, timeout=20)
        assert (job.type, job.descendants.finished) == ("group", 3)
        with pytest.raises(NotImplementedError):
            chord([note.s("a")], note.s("b")).apply_async()
