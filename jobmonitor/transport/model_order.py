"""The model's order of the roots: who is next, and where a root stands before and after.

Every sum is made in the order in which `lua/order.lua` and `lua/take.lua` make it.
"""

from __future__ import annotations

import re

from jobmonitor.transport.model_roots import Element, Lease, Roots, Scores

GUESS = 100.0
MAX_GUESS = 60_000.0
NEWEST = 0.3
MOVED_AT_ONCE = 100
_LOST_LISTS_AT_ONCE = 100
_TASK = '"task": "'


class Order:
    """The roots of both classes, with what they share: guesses, weights, counters."""

    def __init__(self) -> None:
        self.roots = {False: Roots(), True: Roots()}
        self.count = 0
        self.inflight = 0
        self.est: dict[str, float] = {}
        self.weights: dict[str, float] = {}
        self.held: dict[str, float] = {}
        self.marks: dict[str, dict[str, str]] = {}
        #: low root -> since when its next message waits
        self.since = Scores()

    def enqueue(
        self, low: bool, root: str, element: Element, step: int = 0, *, front: bool = False
    ) -> None:
        """Put a message to the others of its root, and a root that had none in its place."""
        roots = self.roots[low]
        stood = root in roots.lists
        roots.put(root, element, step, front=front)
        if root in self.held:
            return
        roots.waiting += 1
        if not stood:
            self.enter(low, root, front=front)
        if low and (front or len(roots.lists[root][step]) == 1):
            self.note_since(root)

    def enter(self, low: bool, root: str, *, front: bool = False) -> None:
        """Let a root that has messages stand in the order."""
        roots = self.roots[low]
        tag = roots.park.pop(root)
        if tag is not None and tag > roots.v:
            roots.to_ring(root, tag)
        elif front or root in roots.infl:
            roots.to_ring(root, roots.v + self._jitter())
        else:
            roots.to_fresh(root, self._next())

    def note_since(self, root: str) -> None:
        """Note since when a low root waits: that of the message that is next."""
        element = self.roots[True].first(root)
        if element is not None:
            self.since.set(root, element.published)

    def length(self, root: str) -> int:
        """Count what waits of a root in both classes."""
        return sum(roots.length(root) for roots in self.roots.values())

    def move(self, root: str, low: bool, at_once: int) -> int:
        """Let what waits of a root wait in the other class; how much is left where it was."""
        source, target = self.roots[not low], self.roots[low]
        stood = root in target.lists
        moved = sum(
            self._move_step(root, step, low, at_once)
            for step in sorted(source.lists.get(root, {}))
        )
        left = source.length(root)
        if not moved or root in self.held:
            return left
        source.waiting -= moved
        target.waiting += moved
        if not left:
            self.withdraw(not low, root)
        if not stood:
            self.enter(low, root)
        if low or left:
            self.note_since(root)
        return left

    def _move_step(self, root: str, step: int, low: bool, at_once: int) -> int:
        source, target = self.roots[not low], self.roots[low]
        taken = target.lists.get(root, {})
        to = 9 if step in taken and not low else step  # behind the others of the root
        length = len(source.lists[root][step])
        length = min(length, at_once) if to in taken else length
        for _ in range(length):
            target.put(root, source.remove(root, step), to, front=False)
        return length

    def empty(self, low: bool, root: str) -> int:
        """Remove what waits of a root in a class; how much that was."""
        roots = self.roots[low]
        length = roots.length(root)
        roots.lists.pop(root, None)
        self.marks.pop(root, None)
        if root not in self.held:
            roots.waiting -= length
        self.withdraw(low, root)
        return length

    def promote(self, before: float) -> None:
        """Let the low root that has waited for longest become normal, if since before."""
        first = self.since.first()
        if first is not None and first[0] <= before:
            self.move(first[1], False, MOVED_AT_ONCE)

    def set_weight(self, root: str, weight: float | None) -> None:
        """Note the weight of a known root, where one is given."""
        if weight == 1:
            self.weights.pop(root, None)
        elif weight is not None:
            self.weights[root] = weight

    def dispatch(self, low: bool, floor: float, *, leased: bool) -> Lease | None:
        """Take the front message of the next root, charge its guess, and move the root on."""
        roots = self.roots[low]
        found = self._next_root(low, floor)
        if found is None:
            return None
        root, side, score = found
        element = roots.remove(root)
        roots.waiting -= 1
        task = task_of(element.payload)
        charged = min(self.est.get(task, GUESS), MAX_GUESS)
        weight = self.weights.get(root, 1.0)
        lease = Lease(low, root, task, charged, weight, floor, side, element)
        if side == "fresh":
            start = roots.arrived.pop(root) + self._jitter()
            roots.fresh.pop(root)
        else:
            start = score
            roots.v = max(roots.v, start)
        roots.add_to_clock(side, floor, charged)
        if leased:
            self._add(lease, 1)
        if low:
            self.note_since(root)
        self._move_on(lease, start + charged / weight)
        return lease

    def end(self, lease: Lease) -> None:
        """Count a lease out."""
        self._add(lease, -1)

    def learn(self, task: str, elapsed: float) -> None:
        """Let the next guess for a task be nearer to what it took."""
        learned = self.est.get(task)
        self.est[task] = elapsed if learned is None else learned + NEWEST * (elapsed - learned)

    def forget_passed(self, low: bool, root: str) -> None:
        """Forget a parked root of which nothing runs, if virtual time has passed it."""
        roots = self.roots[low]
        tag = roots.park.of.get(root)
        if tag is not None and tag <= roots.v and root not in roots.infl:
            self.forget(low, root)

    def trim(self) -> None:
        """Forget the first parked roots that virtual time has passed."""
        for low, roots in self.roots.items():
            for root in roots.first_passed():
                self.forget_passed(low, root)

    def withdraw(self, low: bool, root: str) -> None:
        """Take a root out of ring or fresh: its lists are empty, or go elsewhere."""
        roots = self.roots[low]
        if low:
            self.since.pop(root)
        tag = roots.ring.pop(root)
        if tag is None and roots.fresh.pop(root) is not None:
            tag = roots.arrived.pop(root)
        if tag is not None:
            self._drained(low, root, tag)

    def settle_idle(self) -> None:
        """Where nothing waits and nothing runs, the past counts no more."""
        if self.inflight or not self.count or self.held:
            return
        if any(roots.ring.of or roots.fresh.of for roots in self.roots.values()):
            return
        for roots in self.roots.values():
            roots.settle()
        self.weights.clear()
        self.count = 0

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _jitter(self) -> float:
        """Roots with equal tags go on in the order in which they came, not of their names."""
        return (self._next() % 1024) / 1048576

    def _next_root(self, low: bool, floor: float) -> tuple[str, str, float] | None:
        """Find the next root, its side and score; a lost list is passed over."""
        roots = self.roots[low]
        for _ in range(_LOST_LISTS_AT_ONCE):
            side = roots.side(floor)
            first = (roots.ring if side == "ring" else roots.fresh).first()
            if first is None:
                return None
            score, root = first
            if root not in roots.lists:
                self.withdraw(low, root)
            elif not self._does_not_stay(low, root):
                return root, side, score
        return None

    def _does_not_stay(self, low: bool, root: str) -> bool:
        """Do what was said of the message that is next; is it that of another now?"""
        roots = self.roots[low]
        element = roots.first(root)
        job, dispatch = job_of(element.payload if element else "")
        mark = self.marks.get(root, {}).get(job)
        if mark is None:
            return False
        if mark == "low" and low:
            self._unmark(root, job)
        if low if mark == "low" else dispatch > int(mark):
            return False
        element = roots.remove(root)
        roots.waiting -= 1
        self._unmark(root, job)
        if mark == "low":
            self.enqueue(True, root, element)
        if root not in roots.lists:
            self.withdraw(low, root)
        return True

    def _unmark(self, root: str, job: str) -> None:
        self.marks[root].pop(job)
        if not self.marks[root]:
            del self.marks[root]

    def _move_on(self, lease: Lease, tag: float) -> None:
        roots, root = self.roots[lease.low], lease.root
        if root not in roots.lists:
            roots.ring.pop(root)
            if lease.low:
                self.since.pop(root)
            self._drained(lease.low, root, tag)
        elif lease.side == "fresh":
            roots.to_ring(root, tag)
        else:
            roots.ring.set(root, tag)

    def _drained(self, low: bool, root: str, tag: float) -> None:
        roots = self.roots[low]
        if not any(each.lists.get(root) for each in self.roots.values()):
            self.marks.pop(root, None)
        if root in roots.infl or tag > roots.v:
            roots.park.set(root, tag)
        else:
            self.forget(low, root)

    def forget(self, low: bool, root: str) -> None:
        """Remember a root of this class no more."""
        self.roots[low].park.pop(root)
        if not self.roots[not low].knows(root):
            self.weights.pop(root, None)

    def _add(self, lease: Lease, change: int) -> None:
        infl = self.roots[lease.low].infl
        self.inflight += change
        infl[lease.root] = infl.get(lease.root, 0) + change
        if not infl[lease.root]:
            del infl[lease.root]


def task_of(payload: str) -> str:
    """Read the name of a message's task; '' when it has none."""
    _, found, rest = payload.partition(_TASK)
    name, ended, _ = rest.partition('"')
    return name if found and ended else ""


def job_of(payload: str) -> tuple[str, int]:
    """Read a message's job and the number of its dispatch; 0 where its producer wrote none."""
    _, _, rest = payload.partition('"id": "')
    job, _, rest = rest.partition('"')
    _, found, rest = rest.partition('"jobmonitor": {')
    number = re.search(r'"dispatch": (\d+)', rest) if found else None
    return job, int(number[1]) if number else 0
