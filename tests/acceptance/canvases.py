"""The canvases that give the same with jobmonitor as without it.

As a program: submits all of them to the app and prints what came of each, as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from celery import Signature, chain, chord, group
from celery.canvas import StampingVisitor
from celery.result import GroupResult, ResultBase

#: makes a canvas of the tasks of `canvas_app`; that is imported where it is to run
Make = Callable[[Any], Signature]


class ByWord(StampingVisitor):
    """Stamps each signature, chord headers and bodies apart."""

    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        return {"tenant": "acme", "label": "a stamp"}

    def on_chord_body(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        return {"body": "yes"}


def stamped(canvas: Signature) -> Signature:
    """Stamp a canvas with our visitor."""
    canvas.stamp(visitor=ByWord())
    return canvas


CANVASES: dict[str, Make] = {
    "chain": lambda t: chain(t.add.s(1, 1), t.add.s(2), t.double.s()),
    "chain by pipes": lambda t: t.add.s(1, 1) | t.double.s() | t.add.s(1),
    "chain of one": lambda t: chain(t.add.s(1, 1)),
    "chain with an immutable step": lambda t: chain(
        t.add.s(1, 1), t.add.si(5, 5), t.double.s()
    ),
    "chain with a partial": lambda t: chain(t.add.s(1, 1), t.add.s(b=7)),
    "chain that fails": lambda t: chain(t.add.s(1, 1), t.fail.s(), t.double.s()),
    "chain of chains": lambda t: chain(
        chain(t.add.s(1, 1), t.double.s()), chain(t.add.s(3), t.double.s())
    ),
    "group": lambda t: group(t.add.s(n, n) for n in range(5)),
    "group of chains": lambda t: group(chain(t.add.s(n, n), t.double.s()) for n in range(3)),
    "group of groups": lambda t: group(group(t.add.s(1, 1), t.add.s(2, 2)), t.add.s(3, 3)),
    "group that fails": lambda t: group(t.add.s(1, 1), t.fail.s()),
    "group with a retry": lambda t: group(t.retried.s(1), t.add.s(1, 1)),
    "empty group": lambda t: group(),
    "chunks": lambda t: t.add.chunks(zip(range(7), range(7), strict=True), 3),
    "chunks as a group": lambda t: t.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(),
    "map": lambda t: t.double.map([1, 2, 3]),
    "starmap": lambda t: t.add.starmap([(1, 1), (2, 2)]),
    "stamps": lambda t: stamped(chain(t.stamps.s(), t.gather.s())),
    "stamps in a group": lambda t: stamped(group(t.stamps.s(), t.stamps.s())),
    "partial that is completed later": lambda t: t.add.s(3).clone((4,)),
    "immutable with a parent's value": lambda t: chain(t.add.s(1, 1), t.note.si("alone")),
    "replace by a task": lambda t: t.replaced.s(1, "task"),
    "replace by a chain": lambda t: t.replaced.s(1, "chain"),
    "replace by a replacement": lambda t: t.replaced.s(1, "itself"),
    "replace in a chain": lambda t: chain(t.add.s(1, 1), t.replaced.s("task"), t.double.s()),
    "replace by a chain in a chain": lambda t: chain(
        t.add.s(1, 1), t.replaced.s("chain"), t.double.s()
    ),
    "replace first in a chain": lambda t: chain(t.replaced.s(1, "chain"), t.double.s()),
}
NEED_CHORDS: dict[str, Make] = {
    "chord": lambda t: chord([t.add.s(n, n) for n in range(5)], t.gather.s("body")),
    "chord of one": lambda t: chord([t.add.s(1, 1)], t.gather.s()),
    "chord without a header": lambda t: chord([], t.gather.s()),
    "chord with an immutable body": lambda t: chord(
        [t.add.s(1, 1), t.add.s(2, 2)], t.add.si(1, 2)
    ),
    "chord whose header fails": lambda t: chord([t.add.s(1, 1), t.fail.s()], t.gather.s()),
    "chord whose body fails": lambda t: chord([t.add.s(1, 1), t.add.s(1, 2)], t.fail.s()),
    "chord with a retry": lambda t: chord([t.retried.s(1), t.add.s(1, 1)], t.gather.s()),
    "chord of chains": lambda t: chord(
        [chain(t.add.s(n, 1), t.double.s()) for n in range(3)], t.gather.s()
    ),
    "chord of groups": lambda t: chord(
        [group(t.add.s(1, 1), t.add.s(2, 2)), t.add.s(3, 3)], t.total.s()
    ),
    "chord of chords": lambda t: chord(
        [chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s()), t.add.s(3, 3)], t.gather.s()
    ),
    "chord with a chain as body": lambda t: chord(
        [t.add.s(1, 1), t.add.s(2, 2)], chain(t.total.s(), t.double.s())
    ),
    "chord with a group as body": lambda t: chord(
        [t.add.s(1, 1), t.add.s(2, 2)], group(t.total.s(), t.gather.s())
    ),
    "chord then a step": lambda t: (
        chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s()) | t.double.s()
    ),
    "group then a step": lambda t: chain(
        group(t.add.s(1, 1), t.add.s(2, 2)), t.total.s(), t.double.s()
    ),
    "group then a group": lambda t: chain(
        group(t.add.s(1, 1), t.add.s(2, 2)), group(t.total.s(), t.gather.s())
    ),
    "chord in a chain": lambda t: chain(
        t.add.s(1, 1), chord([t.add.s(1), t.add.s(2)], t.total.s()), t.double.s()
    ),
    "group in a chain": lambda t: chain(
        t.add.s(1, 1), group(t.add.s(1), t.add.s(2)), t.total.s(), t.double.s()
    ),
    "chain in a chord in a chain": lambda t: chain(
        t.add.s(1, 1),
        chord([chain(t.add.s(1), t.double.s()), t.add.s(2)], t.total.s()),
        t.double.s(),
    ),
    "group of chords": lambda t: group(
        chord([t.add.s(1, 1), t.add.s(2, 2)], t.total.s()), chord([t.add.s(3, 3)], t.total.s())
    ),
    "chunks in a chord": lambda t: chord(
        t.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(), t.gather.s()
    ),
    "map in a chord": lambda t: chord(
        [t.double.map([1, 2]), t.add.starmap([(1, 1)])], t.gather.s()
    ),
    "stamps in a chord": lambda t: stamped(chord([t.stamps.s(), t.stamps.s()], t.gather.s())),
    "stamped body": lambda t: stamped(chord([t.add.s(1, 1)], t.stamps.s())),
    "replace by a group": lambda t: t.replaced.s(1, "group"),
    "replace by a chord": lambda t: t.replaced.s(1, "chord"),
    "replace by a chain of a group": lambda t: t.replaced.s(1, "chain of group"),
    "replace by a group in a chain": lambda t: chain(
        t.add.s(1, 1), t.replaced.s("group"), t.gather.s()
    ),
    "replace by a chord in a chain": lambda t: chain(
        t.add.s(1, 1), t.replaced.s("chord"), t.double.s()
    ),
    "replace in a chord": lambda t: chord(
        [t.replaced.s(1, "task"), t.add.s(2, 2)], t.gather.s()
    ),
    "replace by a chain in a chord": lambda t: chord(
        [t.replaced.s(1, "chain"), t.add.s(2, 2)], t.gather.s()
    ),
    "replace by a group in a chord": lambda t: chord(
        [t.replaced.s(1, "group"), t.add.s(2, 2)], t.gather.s()
    ),
    "replace by a chord in a group": lambda t: group(t.replaced.s(1, "chord"), t.add.s(2, 2)),
    "replace the body": lambda t: chord(
        [t.add.s(1, 1), t.add.s(2, 2)], chain(t.total.s(), t.replaced.s("chain"))
    ),
}
ONLY_REDIS: dict[str, Make] = {
    "add to chord": lambda t: chord([t.extends_chord.s(1), t.add.s(2, 2)], t.total.s()),
}


def canvases(result_url: str) -> dict[str, Make]:
    """Choose what makes sense with a result backend."""
    return CANVASES | NEED_CHORDS | (ONLY_REDIS if result_url.startswith("redis") else {})


def outcome(result: ResultBase, timeout: float = 60) -> Any:
    """Wait for what came of a canvas: its value, or its error without ids."""
    try:
        return result.get(timeout=timeout, interval=0.05)
    except Exception as error:
        return f"{type(error).__name__}: {_without_ids(str(error))}"


def _without_ids(text: str) -> str:
    return " ".join(
        "ID" if len(word) == 36 and word.count("-") == 4 else word for word in text.split()
    )


def shape(result: ResultBase | None) -> Any:
    """Say how results hang together and how each ended, from the last one back."""
    if result is None:
        return None
    if isinstance(result, GroupResult):
        return [[shape(member) for member in result.results], shape(result.parent)]
    return [result.state, len(result.children or ()), shape(result.parent)]


def run_all(shop: Any) -> dict[str, Any]:
    """Submit everything, then collect."""
    made = canvases(shop.app.conf.result_backend)
    results = {name: make(shop).apply_async() for name, make in made.items()}
    return {name: [outcome(result), shape(result)] for name, result in results.items()}


if __name__ == "__main__":
    from tests.acceptance import canvas_app

    json.dump(run_all(canvas_app), sys.stdout)
