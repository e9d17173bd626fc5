"""A canvas is one tree: which rows it makes, whose children they are, when its group ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Signature, chain, chord, group

from tests.acceptance_fixtures import imported_app
from tests.waiting import eventually
from tests.workers import Worker, workers

APP = "tests.acceptance.canvas_app"


@pytest.fixture(scope="module", params=["redis", "postgres"])
def shop(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModuleType]:
    own = dict(environment)
    if request.param == "postgres":
        own["RESULT_URL"] = f"db+{environment['JOBMONITOR_DATABASE_URL']}"
    logs = tmp_path_factory.mktemp("log")
    with imported_app(APP, own) as module, workers(Worker(APP, own, logs)) as (worker,):
        yield module
        worker.stop()


def from_outside(shop: ModuleType) -> dict[str, tuple[Signature, list[str]]]:
    """Each canvas with its tree, a line a job, indented by its depth."""
    add, double, total = shop.add, shop.double, shop.total
    two = [add.s(1, 1), add.s(2, 2)]
    return {
        "group": (group(two), ["group", " add", " add"]),
        "chain": (
            chain(add.s(1, 1), double.s(), add.s(3)),
            ["add", " double", " add"],
        ),
        "chord": (chord(two, total.s()), ["group", " add", " add", " total"]),
        "group of chains": (
            group(chain(add.s(n, 1), double.s(), add.s(3)) for n in range(2)),
            ["group", " add", "  double", "  add", " add", "  double", "  add"],
        ),
        "group of chords": (
            group(chord(two, total.s()), chord([add.s(3, 3)], total.s())),
            ["group", *[" add"] * 3, " total", " total"],
        ),
        "chord of chords": (
            chord([chord(two, total.s()), add.s(3, 3)], total.s()),
            ["group", *[" add"] * 3, " total", " total"],
        ),
        "chord of chains": (
            chord([chain(add.s(1, 1), double.s())], total.s()),
            ["group", " add", "  double", " total"],
        ),
        "chord with a chain as body": (
            chord(two, chain(total.s(), double.s())),
            ["group", " add", " add", " total", "  double"],
        ),
        "chord with a group as body": (
            chord(two, group(total.s(), shop.gather.s())),
            ["group", " add", " add", " total", " gather"],
        ),
        "group, then steps": (
            chain(group(two), total.s(), double.s()),
            ["group", " add", " add", " total", "  double"],
        ),
        "chord in a chain": (
            chain(add.s(1, 1), double.s(), group(add.s(1), add.s(2)), total.s()),
            ["add", " double", " add", " add", " total"],
        ),
        "chunks": (add.chunks([(1, 1), (2, 2), (3, 3)], 2), ["group", *[" starmap"] * 2]),
        "replaced by a chord": (
            chain(add.s(1, 1), shop.replaced.s("chord"), double.s()),
            ["add", " replaced", "  add", "  add", " double"],
        ),
        "group in a job": (shop.submits.s("group"), ["submits", " add", " add"]),
        "chain in a job": (shop.submits.s("chain"), ["submits", " add", "  double", "  add"]),
        "chord in a job": (shop.submits.s("chord"), ["submits", " add", " add", " total"]),
        "nested in a job": (
            shop.submits.s("nested"),
            ["submits", " add", "  double", " add", " total"],
        ),
    }


def test_a_canvas_is_one_root_with_everything_below_it(shop: ModuleType) -> None:
    backend = type(shop.app.backend).__name__
    expected = {f"{name} on {backend}": tree for name, tree in from_outside(shop).items()}
    for name, (canvas, _) in expected.items():
        with shop.monitor.acting(name):
            canvas.apply_async()
    for name, (_, lines) in expected.items():
        found = eventually(
            lambda name=name, lines=lines: _tree(shop, name, len(lines)), within=40, says=name
        )
        assert found == (lines, {"finished"}), name


def _tree(shop: ModuleType, name: str, count: int) -> tuple[list[str], set[str]] | None:
    """The tree of the one root that was submitted under this name, once it has all its jobs."""
    roots = shop.monitor.jobs.find(run_by=name).jobs
    assert len(roots) <= 1, f"{name} is {len(roots)} roots"
    nodes = shop.monitor.jobs.tree(roots[0].id) if roots else []
    if len(nodes) < count or any(node.job.status != "finished" for node in nodes):
        return None
    lines = [" " * node.depth + node.job.type.rpartition(".")[2] for node in nodes]
    return lines, {node.job.status.value for node in nodes}


def test_a_group_is_in_progress_until_the_last_step_of_its_chains_is_final(
    shop: ModuleType, tmp_path: Path
) -> None:
    marker = tmp_path / "go"
    result = group(
        chain(shop.double.s(1), shop.until.si(str(marker), 1)), shop.double.s(2)
    ).apply_async()
    jobs = shop.monitor.jobs
    eventually(lambda: jobs.get(result.id).descendants.finished == 2, within=20)
    eventually(lambda: jobs.get(result.id).descendants.total == 3, within=20)
    assert jobs.get(result.id).status == "running"
    marker.touch()
    assert jobs.wait_for(result.id, timeout=20).status == "finished"


def test_links_and_errbacks_are_children_and_fire_once(
    shop: ModuleType, environment: dict[str, str]
) -> None:
    trace = Path(environment["TRACE_FILE"])
    trace.unlink(missing_ok=True)
    jobs = shop.monitor.jobs
    linked = shop.add.apply_async(
        (1, 1), link=[group(shop.note.si("a"), shop.note.si("b")), shop.note.si("c")]
    )
    failed = shop.fail.apply_async(link_error=shop.errback.s())
    members = group(shop.add.s(1, 1), shop.fail.s())
    members.link_error(shop.errback.s())
    errs = chord(
        [shop.add.s(1, 1), shop.fail.s()], shop.total.s().on_error(shop.new_errback.s())
    )
    group_id = members.apply_async().id
    errs.apply_async()
    wanted = ["a", "b", "c", "errback", "errback", "new errback ChordError"]
    eventually(lambda: len(_lines(trace)) >= len(wanted), within=30, says="all of them fired")
    eventually(lambda: jobs.get(linked.id).children.finished == 3)
    eventually(lambda: jobs.get(failed.id).children.finished == 1)
    eventually(lambda: jobs.get(group_id).descendants.finished == 3)
    assert sorted(_lines(trace)) == wanted


def _lines(trace: Path) -> list[str]:
    return trace.read_text().splitlines() if trace.exists() else []


def test_a_stamp_may_be_called_like_an_option_of_ours(shop: ModuleType) -> None:
    sig = shop.stamps.s()
    sig.stamp(label="urgent", run_by="nobody")
    result = sig.apply_async()
    job = shop.monitor.jobs.wait_for(result.id)
    assert (job.label, job.run_by) == (None, None)
    assert job.result[1] == {"label": "urgent", "run_by": "nobody"}


def test_an_option_of_ours_counts_for_the_whole_canvas(shop: ModuleType) -> None:
    canvas: Any = chord([shop.add.s(1, 1), shop.add.s(2, 2)], shop.total.s())
    result = canvas.apply_async(run_by="alice", low_priority=True)
    body = shop.monitor.jobs.wait_for(
        eventually(lambda: _known(shop, result.id), within=40), timeout=40
    )
    nodes = shop.monitor.jobs.tree(body.root_id)
    assert {(node.job.run_by, node.job.low_priority) for node in nodes} == {("alice", True)}


def _known(shop: ModuleType, job_id: str) -> str | None:
    found = shop.monitor.jobs.some([job_id])
    return found[0].id if found else None
