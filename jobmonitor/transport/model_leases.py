"""The model's consumers: what each holds, when it was heard of, and whom it takes for lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from jobmonitor.transport.model_roots import Lease

#: The times of `fair_queue`, which the model does not import: it needs no Redis.
LOST_AFTER = 30_000.0
PASS_EVERY = 5_000.0
_AT_ONCE = 100

#: Gives a lease back to the front of its root: consumer, lease.
PutBack = Callable[[str, int], None]


class Consumers:
    """Who holds which leases, and who has fallen silent."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[int, Lease]] = {}
        self.requests: dict[str, tuple[int, int]] = {}
        self.missed: dict[str, set[int]] = {}
        self.beats: dict[str, float] = {}
        self.slots: dict[str, int] = {}
        self.suspects: dict[str, float] = {}
        self.last_pass: float | None = None
        self.grace: float | None = None

    def lease(self, consumer: str, lease: int) -> Lease | None:
        """Find a lease that is out."""
        return self.leases.get(consumer, {}).get(lease)

    def repeated(self, consumer: str, request: int) -> int | None:
        """Find the lease that answered the same request, if it was the last and is out."""
        number, lease = self.requests.get(consumer, (None, 0))
        return lease if number == request and self.lease(consumer, lease) else None

    def give(self, now: float, consumer: str, request: int, number: int, lease: Lease) -> None:
        """Note a new lease."""
        self.leases.setdefault(consumer, {})[number] = lease
        self.requests[consumer] = (request, number)
        self.beats.setdefault(consumer, now)

    def has_slots(self, consumer: str, count: int) -> None:
        """Note how much a consumer runs at once."""
        self.slots.pop(consumer, None)
        if count:
            self.slots[consumer] = count

    def leave(self, consumer: str, put_back: PutBack) -> int:
        """Give back all that a consumer holds and forget it."""
        held = self._newest_first(consumer)
        for lease in held:
            put_back(consumer, lease)
        self._forget(consumer)
        return len(held)

    def beat(
        self, now: float, consumer: str, held: Iterable[int], put_back: PutBack
    ) -> list[int]:
        """Hear of a consumer; return the leases it holds in error."""
        held = list(held)
        self.beats[consumer] = now
        out = self._newest_first(consumer)
        missing = [lease for lease in out if lease not in held]
        again = [lease for lease in missing if lease in self.missed.get(consumer, ())]
        for lease in again:
            put_back(consumer, lease)
        self.missed[consumer] = set(missing) - set(again)
        self._pass(now, _AT_ONCE - len(again), put_back)
        return [lease for lease in held if lease not in out]

    def _pass(self, now: float, at_most: int, put_back: PutBack) -> None:
        last = self.last_pass
        if last is not None and 0 <= now - last < PASS_EVERY:
            return
        self.last_pass = now
        if last is None or now < last or now - last > 3 * PASS_EVERY:
            self.grace = now + LOST_AFTER
            self.suspects.clear()
            return
        if self.grace is not None and now < self.grace:
            return
        self.suspects = {
            name: beat for name, beat in self.suspects.items() if self.beats.get(name) == beat
        }
        silent = sorted(
            (beat, name) for name, beat in self.beats.items() if beat < now - LOST_AFTER
        )
        for beat, name in silent[:_AT_ONCE]:
            if name in self.suspects:
                at_most -= self._recover(name, at_most, put_back)
            else:
                self.suspects[name] = beat

    def _recover(self, lost: str, at_most: int, put_back: PutBack) -> int:
        held = self._newest_first(lost)
        back = held[: max(at_most, 0)]
        for lease in back:
            put_back(lost, lease)
        if len(back) == len(held):
            self._forget(lost)
        return len(back)

    def _newest_first(self, consumer: str) -> list[int]:
        """Put back in this order, the oldest stands in front."""
        return sorted(self.leases.get(consumer, ()), reverse=True)

    def _forget(self, consumer: str) -> None:
        for noted in (
            self.leases, self.requests, self.missed, self.beats, self.slots, self.suspects
        ):  # fmt: skip
            noted.pop(consumer, None)
