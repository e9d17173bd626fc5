"""What a canvas says of its tasks, before anything of it runs."""

from __future__ import annotations

import pytest
from celery import Celery, Signature, chain, chord, group

from jobmonitor.canvas import fix_ids, groups_of, ids_of, outermost_group

app = Celery("canvases", set_as_current=False)


def task(name: str) -> Signature:
    return app.signature(name)


def test_the_ids_of_a_signature_are_those_of_everything_in_it() -> None:
    body = chain(task("b"), group(task("c"), task("d")), app=app)
    canvas = chord([task("a")], body, app=app)
    fix_ids(canvas, "one")
    ids = ids_of(canvas)
    assert len(ids) == 7
    again = chord([task("a")], body.clone(), app=app)
    fix_ids(again, "one")
    assert ids_of(again) == ids
    assert ids_of(None) == frozenset()


def test_an_id_that_is_there_is_kept() -> None:
    sig = task("a").set(task_id="mine")
    fix_ids(sig, "one")
    assert ids_of(sig) == {"mine"}


@pytest.mark.parametrize(
    ("group_id", "embed", "outermost", "waiting"),
    [
        (None, {}, None, set()),
        ("g", {}, "g", {"g"}),
        (None, {"chain": [{"options": {"group_id": "g"}}, {"options": {}}]}, "g", {"g"}),
        ("g", {"chord": {"options": {"group_id": "g"}}}, "g", {"g"}),
        (
            "inner",
            {"chord": {"options": {"group_id": "g", "chord": {"options": {"group_id": "g"}}}}},
            "g",
            {"inner", "g"},
        ),
        (
            "inner",
            {"chord": {"kwargs": {"tasks": [{}, {"options": {"group_id": "g"}}]},
                       "subtask_type": "chain", "options": {}}},
            "g",
            {"inner", "g"},
        ),
    ],
)  # fmt: skip
def test_the_groups_of_a_task_are_found_through_what_follows_it(
    group_id: str | None, embed: dict[str, object], outermost: str | None, waiting: set[str]
) -> None:
    assert outermost_group(group_id, embed) == outermost
    assert groups_of(group_id, embed) == waiting
