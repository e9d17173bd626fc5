"""What the routing does: queues, the shares of root jobs, workers and what each runs.

Runs in: panel, command line, whoever asks. Read from the broker and from Postgres; every read
is bounded, however many jobs there are. On another broker than the fair transport a queue says
only how much waits in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery

from jobmonitor.broker import connected, fair_channel, is_fair
from jobmonitor.errors import QueueNotFound
from jobmonitor.records.database import Database
from jobmonitor.redaction import storable
from jobmonitor.transport.inspection import (
    ROOTS_MAX,
    ConsumerState,
    GateState,
    Inspection,
    QueueState,
    Received,
    RootState,
)

NOT_FAIR = "this broker keeps no shares: they need the fair transport, fair-redis://"
LIMIT_MAX = ROOTS_MAX
_QUEUES_MAX = 100
_WORKERS_MAX = 500
_JOBS_SHOWN = 20
#: what no index serves is looked for among so many jobs
_NEWEST = 10_000


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue; what its broker cannot tell is None. Counts as of `QueueState`."""

    name: str
    fair: bool
    waiting: int
    oldest_seconds: float | None = None
    low: int | None = None
    running: int | None = None
    due: int | None = None
    held: int | None = None
    quarantined: int | None = None
    roots: int | None = None
    low_roots: int | None = None
    capacity: int | None = None
    paused_at: datetime | None = None
    gate: GateState | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What a root job received and was due in a window; shares are parts of 1."""

    received_seconds: float
    share: float | None
    due_share: float | None


@dataclass(frozen=True, slots=True)
class Root:
    """A root in a queue, as of `RootState`; label and type are None where it is no job."""

    root_id: str
    label: str | None
    type: str | None
    position: int | None
    waiting: int
    low: int
    running: int
    held: int
    weight: float
    oldest_seconds: float | None
    last_5_minutes: Share
    last_hour: Share


@dataclass(frozen=True, slots=True)
class Shares:
    """The first roots of a queue in their order; without shares it is said why."""

    queue: str
    reason: str | None
    roots: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job in the hands of a worker; of what is no job only id, type and root are known."""

    id: str
    label: str | None
    type: str
    root_id: str
    status: str | None
    running_seconds: float | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A start of a worker that has not ended; of one without jobmonitor most is None.

    `lives` is whether it was heard of in time, `running` how many messages it holds, `jobs` the
    newest twenty of them.
    """

    id: str
    node: str | None
    host: str | None
    pid: int | None
    pool: str | None
    version: str | None
    slots: int
    queues: tuple[str, ...]
    started_at: datetime | None
    silent_seconds: float
    lives: bool
    running: int
    jobs: tuple[Job, ...]


class Insight:
    """Looks at the queues and workers of one app, and pauses queues."""

    def __init__(self, app: Celery, database: Database, lost_after: float) -> None:
        self._app = app
        self._database = database
        self._lost_after = lost_after

    def queues(self) -> list[Queue]:
        """Read each queue that the app names, a worker consumes, or a recent job waits in."""
        names = self._names(self._workers())
        with connected(self._app) as connection:
            return [_queue(connection, name) for name in names]

    def shares(
        self, queue: str | None = None, *, root: str | None = None, limit: int = 20
    ) -> list[Shares]:
        """Read the first roots of a queue, or of all, and what each received and was due.

        With a root only that one is read, wherever it stands. Raises QueueNotFound for a queue
        that is not there.
        """
        names = self._names(self._workers())
        with connected(self._app) as connection:
            if queue is not None:
                self._check(connection, queue, names)
                names = [queue]
            states = {name: _roots(connection, name, root, limit) for name in names}
        ids = {state.root for found in states.values() for state in found or ()}
        rows = self._named(ids)
        return [
            Shares(
                name, NOT_FAIR if found is None else None,
                tuple(_root(state, rows.get(state.root)) for state in found or ()),
            )
            for name, found in states.items()
        ]  # fmt: skip

    def workers(self) -> list[Worker]:
        """Read the workers that have not ended, and what each runs."""
        rows = self._workers()
        with connected(self._app) as connection:
            found = _consumers(connection, self._names(rows))
        if found is None:
            return self._by_records(rows)
        known = {row.id for row in rows}
        held = {
            consumer: [lease for state in states.values() for lease in state.newest]
            for consumer, states in found.items()
        }
        jobs = self._named({lease.job for leases in held.values() for lease in leases})
        workers = [
            self._worker(row, found.get(row.id, {}), held.get(row.id, ()), jobs) for row in rows
        ]
        others = (name for name in sorted(found) if name not in known)
        return workers + [
            self._stranger(name, found[name], held[name], jobs) for name in others
        ]

    def pause(self, queue: str) -> bool:
        """Let nothing of a queue be taken until it is unpaused; False: it was so already.

        What runs goes on, and more may be submitted. Raises QueueNotFound.
        """
        return self._paused(queue, on=True)

    def unpause(self, queue: str) -> bool:
        """Let a queue be taken from again; False: it was so already. Raises QueueNotFound."""
        return self._paused(queue, on=False)

    # -- the broker ------------------------------------------------------------------------

    def _paused(self, queue: str, *, on: bool) -> bool:
        with fair_channel(self._app, queue, "paused") as channel:
            changed: bool = channel.fair_queue(queue).pause(on=on)
            return changed

    def _check(self, connection: Any, queue: str, names: Sequence[str]) -> None:
        is_there = is_fair(connection.default_channel, queue) and (
            connection.default_channel.fair_queue(queue).is_declared()
        )
        if queue not in names and not is_there:
            raise QueueNotFound(queue, names)

    def _names(self, workers: Iterable[Any]) -> list[str]:
        own = (
            name for name, queue in list(self._app.amqp.queues.items())
            if getattr(queue.exchange, "type", None) != "fanout"
        )  # fmt: skip
        consumed = (name for row in workers for name in row.queues)
        lately = self._database.rows("queues_lately", {"newest": _NEWEST})
        return sorted({*own, *consumed, *(row.queue for row in lately)})[:_QUEUES_MAX]

    # -- the records -----------------------------------------------------------------------

    def _workers(self) -> list[Any]:
        return self._database.rows("live_workers", {"limit": _WORKERS_MAX})

    def _named(self, ids: Iterable[str]) -> dict[str, Any]:
        wanted = sorted(id for id in ids if id and storable(id) == id)
        return {row.id: row for row in self._database.rows("named", {"ids": wanted})}

    def _by_records(self, rows: Sequence[Any]) -> list[Worker]:
        """On a broker without leases: what runs is looked for among the newest jobs."""
        facts = {"newest": _NEWEST, "workers": [row.id for row in rows]}
        jobs: dict[str, list[Any]] = defaultdict(list)
        for job in self._database.rows("running_lately", facts):
            jobs[job.worker].append(job)
        return [
            self._described(
                row, len(jobs[row.id]), tuple(map(_job, jobs[row.id][:_JOBS_SHOWN]))
            )
            for row in rows
        ]

    def _worker(
        self, row: Any, states: Mapping[str, ConsumerState], held: Iterable[Any],
        jobs: Mapping[str, Any],
    ) -> Worker:  # fmt: skip
        running = sum(state.leases for state in states.values())
        return self._described(row, running, _jobs(held, jobs))

    def _described(self, row: Any, running: int, jobs: tuple[Job, ...]) -> Worker:
        return Worker(
            row.id, row.node, row.host.partition(" ")[0], row.pid, row.pool, row.version,
            row.slots, tuple(row.queues), row.started_at, round(row.silent, 3),
            row.silent < self._lost_after, running, jobs,
        )  # fmt: skip

    def _stranger(
        self, name: str, states: Mapping[str, ConsumerState], held: Iterable[Any],
        jobs: Mapping[str, Any],
    ) -> Worker:  # fmt: skip
        silent = min(state.silent for state in states.values()) / 1000
        return Worker(
            name, None, None, None, None, None, max(state.slots for state in states.values()),
            tuple(sorted(states)), None, round(silent, 3), silent < self._lost_after,
            sum(state.leases for state in states.values()), _jobs(held, jobs),
        )  # fmt: skip


def _queue(connection: Any, name: str) -> Queue:
    if not is_fair(connection.default_channel, name):
        return Queue(name, fair=False, waiting=_size(connection, name))
    state: QueueState = connection.default_channel.inspection(name).queue()
    paused = state.paused_at
    return Queue(
        name, True, state.waiting, _seconds(state.oldest), state.low, state.running, state.due,
        state.held, state.quarantined, state.roots, state.low_roots, state.capacity,
        None if paused is None else datetime.fromtimestamp(paused / 1000, UTC), state.gate,
    )  # fmt: skip


def _size(connection: Any, name: str) -> int:
    """Ask a broker how much waits; a queue that is not declared yet is empty."""
    with connection.channel() as channel:
        try:
            return int(channel.queue_declare(name, passive=True).message_count)
        except connection.channel_errors:
            return 0


def _roots(connection: Any, name: str, root: str | None, limit: int) -> list[RootState] | None:
    if not is_fair(connection.default_channel, name):
        return None
    inspection: Inspection = connection.default_channel.inspection(name)
    return inspection.roots(limit) if root is None else [inspection.root(root)]


def _consumers(
    connection: Any, names: Iterable[str]
) -> dict[str, dict[str, ConsumerState]] | None:
    """Read who consumes what, by consumer and queue; None on a broker that cannot tell."""
    if getattr(connection.default_channel, "fair_queue", None) is None:
        return None
    found: dict[str, dict[str, ConsumerState]] = defaultdict(dict)
    for name in names:
        if is_fair(connection.default_channel, name):
            for state in connection.default_channel.inspection(name).consumers():
                found[state.name][name] = state
    return dict(found)


def _root(state: RootState, row: Any) -> Root:
    return Root(
        state.root, row and row.label, row and row.type, state.position, state.waiting,
        state.low, state.running, state.held, state.weight, _seconds(state.oldest),
        _share(state.last_minutes), _share(state.last_hour),
    )  # fmt: skip


def _share(received: Received) -> Share:
    return Share(
        round(max(received.ms, 0.0) / 1000, 3), _rounded(received.share),
        _rounded(received.due_share),
    )  # fmt: skip


def _jobs(held: Iterable[Any], jobs: Mapping[str, Any]) -> tuple[Job, ...]:
    return tuple(
        _job(jobs[lease.job]) if lease.job in jobs
        else Job(lease.job, None, lease.task, lease.root, None, None)
        for lease in list(held)[:_JOBS_SHOWN]
    )  # fmt: skip


def _job(row: Any) -> Job:
    runs = None if row.runs is None else round(row.runs, 3)
    return Job(row.id, row.label, row.type, row.root_id, row.status, runs)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else round(ms / 1000, 3)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
