"""What holds of a fair queue after every step, said of snapshots."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest

from jobmonitor.transport.gate import LowGate
from jobmonitor.transport.model import Given

CLASSES = ("normal", "low")
_COPIES_SEARCHED = 10
_TRIMMED = 10
#: what a queue without messages and consumers may leave; `wake` tokens are hints, a few
_LEFT = {"meta", "est", "wake"}

Snapshot = dict[str, Any]


def check_order(before: Snapshot, after: Snapshot, alive: set[str]) -> None:
    """Every message is in one place, every root where it belongs, virtual time goes forward."""
    assert sorted(messages_of(after)) == sorted(alive), "each message is in exactly one place"
    leases = [lease for held in after["leases"].values() for lease in held.values()]
    assert after["inflight"] == len(leases)
    for name in CLASSES:
        roots = after[name]
        ring, fresh, lists = set(roots["ring"]), set(roots["fresh"]), roots["lists"]
        assert not ring & fresh
        assert ring | fresh == set(lists) - set(after["held"]), "in the order is what waits"
        assert all(all(steps.values()) for steps in lists.values())
        assert fresh == set(roots["arrived"])
        in_order = [lists[root] for root in ring | fresh]
        assert roots["waiting"] == sum(len(one) for steps in in_order for one in steps.values())
        running = [lease["root"] for lease in leases if lease["low"] == (name == "low")]
        assert roots["infl"] == {root: running.count(root) for root in running}
        assert not set(roots["park"]) & (ring | fresh), "a root that waits is not parked"
        assert set(running) <= ring | set(roots["park"]), "what runs can be charged"
        if after["order"]:
            assert roots["v"] >= before[name]["v"]
        else:
            assert roots["v"] == 0 and not lists and not roots["park"]


def check_took_all(after: Snapshot, gate: LowGate, now: float) -> None:
    """Nothing was given: then nothing waits that may be taken, and nothing is due."""
    assert all(due[0] > now for due in after["due"].values())
    if after["paused"]:
        return
    assert set(after["normal"]["lists"]) <= set(after["held"])
    if set(after["low"]["lists"]) - set(after["held"]):
        assert not is_low_load(after, gate, now), "low load, and a low root waits"


def check_gave(given: Given, before: Snapshot, gate: LowGate, now: float) -> None:
    """A low message is only given at low load."""
    if given.low:
        assert is_low_load(before, gate, now)


def is_low_load(state: Snapshot, gate: LowGate, now: float) -> bool:
    """Say whether slots are free beyond the reserve, and no normal message waited lately."""
    slots, waited = state["capacity"], state["normal_waited"]
    reserve = gate.reserve
    if reserve is None:
        reserve = 0 if slots == 1 else -(-slots // 8)
    is_calm = waited is None or now - waited >= gate.calm
    return is_calm and (slots == 0 or slots - state["inflight"] > reserve)


def check_trimmed(before: Snapshot, after: Snapshot) -> None:
    """A take looks at the lowest parked roots: it forgets those that have had their time.

    That is those that virtual time has passed and of which nothing runs.
    """
    for name in CLASSES:
        parked, left = before[name]["park"], after[name]["park"]
        for root in sorted(parked, key=lambda root: (parked[root], root))[:_TRIMMED]:
            is_new = root in after[name]["infl"] or left.get(root, 0.0) > before[name]["v"]
            assert root not in left or is_new or not after["order"]


def check_charged_once(
    before: Snapshot, after: Snapshot, consumer: str, given: Given, elapsed: float, ended: bool
) -> None:
    """An ack charges the difference to what was charged; one too much charges nothing."""
    if not after["order"]:
        return
    name = "low" if given.low else "normal"
    tags, tags_before = _tags(after[name]), _tags(before[name])
    if ended:
        lease = before["leases"][consumer][given.lease]
        owed = (max(elapsed, 1) - lease["charged"]) / lease["weight"]
        if lease["root"] in tags:
            moved = tags[lease["root"]] - tags_before[lease["root"]]
            assert moved == pytest.approx(owed, abs=1e-6)
        tags.pop(lease["root"], None)
    else:
        assert after["est"] == before["est"]
        assert after["leases"] == before["leases"]
    assert all(tags_before[root] == tag for root, tag in tags.items() if root in tags_before)


def check_dropped(before: Snapshot, gone: set[str]) -> None:
    """What a take makes vanish was to be dropped."""
    marked = {job: mark for marks in before["marks"].values() for job, mark in marks.items()}
    assert all(marked.get(job, "low") != "low" for job in gone)


def is_copy_in_front(before: Snapshot, given: Given) -> bool:
    """Say whether what a lease was for waits again because of that lease."""
    waiting = before["low" if given.low else "normal"]["lists"].get(given.root, {})
    return any(element[2] == given.lease for element in waiting.get(0, [])[:_COPIES_SEARCHED])


def check_keys_left(keys: dict[str, Any]) -> None:
    """Nothing is left but what the documentation of the keys says."""
    left = {name for name in keys if not name.startswith(("p:", "served:"))}
    assert left <= _LEFT, f"left behind: {sorted(left - _LEFT)}"
    assert len(keys.get("wake", [])) <= 3


def _tags(roots: dict[str, Any]) -> dict[str, float]:
    return {**roots["ring"], **roots["park"]}


def messages_of(snapshot: Snapshot) -> list[str]:
    """List the messages that are somewhere, by their names."""
    waiting = [
        element[3]
        for name in CLASSES
        for steps in snapshot[name]["lists"].values()
        for elements in steps.values()
        for element in elements
    ]
    due = [kept[6] for kept in snapshot["due"].values()]
    leased = [
        lease["element"][3] for held in snapshot["leases"].values() for lease in held.values()
    ]
    return [id_of(payload) for payload in (*waiting, *due, *leased)]


@lru_cache(1_000)
def id_of(payload: str) -> str:
    """Read which message that is."""
    return json.loads(payload)["id"]
