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

from tests.acceptance import canvas_app as shop

add, double, total, gather = shop.add, shop.double, shop.total, shop.gather
note, stamps, replaced, fail = shop.note, shop.stamps, shop.replaced, shop.fail


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


CANVASES: dict[str, Callable[[], Signature]] = {
    "chain": lambda: chain(add.s(1, 1), add.s(2), double.s()),
    "chain by pipes": lambda: add.s(1, 1) | double.s() | add.s(1),
    "chain of one": lambda: chain(add.s(1, 1)),
    "chain with an immutable step": lambda: chain(add.s(1, 1), add.si(5, 5), double.s()),
    "chain with a partial": lambda: chain(add.s(1, 1), add.s(b=7)),
    "chain that fails": lambda: chain(add.s(1, 1), fail.s(), double.s()),
    "chain of chains": lambda: chain(
        chain(add.s(1, 1), double.s()), chain(add.s(3), double.s())
    ),
    "group": lambda: group(add.s(n, n) for n in range(5)),
    "group of chains": lambda: group(chain(add.s(n, n), double.s()) for n in range(3)),
    "group of groups": lambda: group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)),
    "group that fails": lambda: group(add.s(1, 1), fail.s()),
    "group with a retry": lambda: group(shop.retried.s(1), add.s(1, 1)),
    "empty group": lambda: group(),
    "chunks": lambda: add.chunks(zip(range(7), range(7), strict=True), 3),
    "chunks as a group": lambda: add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(),
    "map": lambda: double.map([1, 2, 3]),
    "starmap": lambda: add.starmap([(1, 1), (2, 2)]),
    "stamps": lambda: stamped(chain(stamps.s(), gather.s())),
    "stamps in a group": lambda: stamped(group(stamps.s(), stamps.s())),
    "partial that is completed later": lambda: add.s(3).clone((4,)),
    "immutable with a parent's value": lambda: chain(add.s(1, 1), note.si("alone")),
    "replace by a task": lambda: replaced.s(1, "task"),
    "replace by a chain": lambda: replaced.s(1, "chain"),
    "replace by a replacement": lambda: replaced.s(1, "itself"),
    "replace in a chain": lambda: chain(add.s(1, 1), replaced.s("task"), double.s()),
    "replace by a chain in a chain": lambda: chain(
        add.s(1, 1), replaced.s("chain"), double.s()
    ),
    "replace first in a chain": lambda: chain(replaced.s(1, "chain"), double.s()),
}
NEED_CHORDS: dict[str, Callable[[], Signature]] = {
    "chord": lambda: chord([add.s(n, n) for n in range(5)], gather.s("body")),
    "chord of one": lambda: chord([add.s(1, 1)], gather.s()),
    "chord without a header": lambda: chord([], gather.s()),
    "chord with an immutable body": lambda: chord([add.s(1, 1), add.s(2, 2)], add.si(1, 2)),
    "chord whose header fails": lambda: chord([add.s(1, 1), fail.s()], gather.s()),
    "chord whose body fails": lambda: chord([add.s(1, 1), add.s(1, 2)], fail.s()),
    "chord with a retry": lambda: chord([shop.retried.s(1), add.s(1, 1)], gather.s()),
    "chord of chains": lambda: chord(
        [chain(add.s(n, 1), double.s()) for n in range(3)], gather.s()
    ),
    "chord of groups": lambda: chord([group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)], total.s()),
    "chord of chords": lambda: chord(
        [chord([add.s(1, 1), add.s(2, 2)], total.s()), add.s(3, 3)], gather.s()
    ),
    "chord with a chain as body": lambda: chord(
        [add.s(1, 1), add.s(2, 2)], chain(total.s(), double.s())
    ),
    "chord with a group as body": lambda: chord(
        [add.s(1, 1), add.s(2, 2)], group(total.s(), gather.s())
    ),
    "chord then a step": lambda: chord([add.s(1, 1), add.s(2, 2)], total.s()) | double.s(),
    "group then a step": lambda: chain(group(add.s(1, 1), add.s(2, 2)), total.s(), double.s()),
    "group then a group": lambda: chain(
        group(add.s(1, 1), add.s(2, 2)), group(total.s(), gather.s())
    ),
    "chord in a chain": lambda: chain(
        add.s(1, 1), chord([add.s(1), add.s(2)], total.s()), double.s()
    ),
    "group in a chain": lambda: chain(
        add.s(1, 1), group(add.s(1), add.s(2)), total.s(), double.s()
    ),
    "chain in a chord in a chain": lambda: chain(
        add.s(1, 1), chord([chain(add.s(1), double.s()), add.s(2)], total.s()), double.s()
    ),
    "group of chords": lambda: group(
        chord([add.s(1, 1), add.s(2, 2)], total.s()), chord([add.s(3, 3)], total.s())
    ),
    "chunks in a chord": lambda: chord(
        add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(), gather.s()
    ),
    "map in a chord": lambda: chord([double.map([1, 2]), add.starmap([(1, 1)])], gather.s()),
    "stamps in a chord": lambda: stamped(chord([stamps.s(), stamps.s()], gather.s())),
    "stamped body": lambda: stamped(chord([add.s(1, 1)], stamps.s())),
    "replace by a group": lambda: replaced.s(1, "group"),
    "replace by a chord": lambda: replaced.s(1, "chord"),
    "replace by a chain of a group": lambda: replaced.s(1, "chain of group"),
    "replace by a group in a chain": lambda: chain(
        add.s(1, 1), replaced.s("group"), gather.s()
    ),
    "replace by a chord in a chain": lambda: chain(
        add.s(1, 1), replaced.s("chord"), double.s()
    ),
    "replace in a chord": lambda: chord([replaced.s(1, "task"), add.s(2, 2)], gather.s()),
    "replace by a chain in a chord": lambda: chord(
        [replaced.s(1, "chain"), add.s(2, 2)], gather.s()
    ),
    "replace by a group in a chord": lambda: chord(
        [replaced.s(1, "group"), add.s(2, 2)], gather.s()
    ),
    "replace by a chord in a group": lambda: group(replaced.s(1, "chord"), add.s(2, 2)),
    "replace the body": lambda: chord(
        [add.s(1, 1), add.s(2, 2)], chain(total.s(), replaced.s("chain"))
    ),
}
ONLY_REDIS: dict[str, Callable[[], Signature]] = {
    "add to chord": lambda: chord([shop.extends_chord.s(1), add.s(2, 2)], total.s()),
}


def canvases(result_url: str) -> dict[str, Callable[[], Signature]]:
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


def run_all(result_url: str) -> dict[str, Any]:
    """Submit everything, then collect."""
    results = {name: make().apply_async() for name, make in canvases(result_url).items()}
    return {name: [outcome(result), shape(result)] for name, result in results.items()}


if __name__ == "__main__":
    json.dump(run_all(shop.app.conf.result_backend), sys.stdout)
