"""The model's order of the roots: who is next, and where a root stands before and after.

Every sum is made in the order in which `lua/order.lua` and `lua/take.lua` make it.
"""

from __future__ import annotations

from collections import deque

from jobmonitor.transport.model_roots import Element, Lease, Roots

GUESS = 100.0
MAX_GUESS = 60_000.0
NEWEST = 0.3
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

    def enqueue(self, low: bool, root: str, element: Element, *, front: bool = False) -> None:
        """Put a message to the others of its root, and a root that had none in its place."""
        roots = self.roots[low]
        waiting = roots.lists.setdefault(root, deque())
        if front:
            waiting.appendleft(element)
        else:
            waiting.append(element)
        roots.waiting += 1
        if len(waiting) > 1:
            return
        tag = roots.park.pop(root)
        if tag is not None and tag > roots.v:
            roots.to_ring(root, tag)
        elif front or root in roots.infl:
            roots.to_ring(root, roots.v + self._jitter())
        else:
            roots.to_fresh(root, self._next())

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
        element = roots.lists[root].popleft()
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
            self._forget(low, root)

    def trim(self) -> None:
        """Forget the first parked roots that virtual time has passed."""
        for low, roots in self.roots.items():
            for root in roots.first_passed():
                self.forget_passed(low, root)

    def withdraw(self, low: bool, root: str) -> None:
        """Take a root whose list is empty out of ring or fresh."""
        roots = self.roots[low]
        roots.lists.pop(root, None)
        tag = roots.ring.pop(root)
        if tag is None and roots.fresh.pop(root) is not None:
            tag = roots.arrived.pop(root)
        if tag is not None:
            self._drained(low, root, tag)

    def settle_idle(self) -> None:
        """Where nothing waits and nothing runs, the past counts no more."""
        if self.inflight or not self.count:
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
            if roots.lists.get(root):
                return root, side, score
            self.withdraw(low, root)
        return None

    def _move_on(self, lease: Lease, tag: float) -> None:
        roots, root = self.roots[lease.low], lease.root
        if not roots.lists[root]:
            del roots.lists[root]
            roots.ring.pop(root)
            self._drained(lease.low, root, tag)
        elif lease.side == "fresh":
            roots.to_ring(root, tag)
        else:
            roots.ring.set(root, tag)

    def _drained(self, low: bool, root: str, tag: float) -> None:
        roots = self.roots[low]
        if root in roots.infl or tag > roots.v:
            roots.park.set(root, tag)
        else:
            self._forget(low, root)

    def _forget(self, low: bool, root: str) -> None:
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
