"""What a person or a program does to jobs: the writes, each for one id or many.

Runs in: whoever steers: a panel, a command line, a task. An operation on a tree first writes
a hold; when that is committed and every claim that began before it has ended, nothing below
starts any more. The rows follow in batches. Postgres first; a control message is only a nudge,
and what the broker is told of the messages that wait only saves deliveries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from celery import Celery

from jobmonitor import signals
from jobmonitor.dispatch import Dispatch, Message
from jobmonitor.errors import ConfigurationError
from jobmonitor.records.database import Database, fetch
from jobmonitor.records.queries import Queries
from jobmonitor.records.store import slot
from jobmonitor.redaction import cut, storable
from jobmonitor.states import Operation, fits_below, refusal
from jobmonitor.waiting import Waiting

logger = logging.getLogger(__name__)
FORCE_STOP_COMMAND = "jobmonitor_force_stop"
NO_SUCH_JOB = "there is no job with this id"
_BATCH = 500
_WALKS_MAX = 1_000
_HELD_ABOVE = {
    Operation.RESUME: "a job above it is canceled",
    Operation.RESTART: "a job above it is stopped or canceled; resume that one first",
}
_FENCED = (
    "{whom}fenced out, not killed: a {pools} pool cannot kill a job; what it still does is not "
    "recorded, and it ends at its next checkpoint"
)
_TEXT_MAX = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did to one job: changed or not, and why not."""

    id: str
    changed: bool
    status: str | None
    descendants_changed: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an operation: on which job, by whom and why."""

    operation: Operation
    id: str
    root_id: str
    actor: str | None
    reason: str | None

    @property
    def is_whole(self) -> bool:
        """Whether it is on a root, and so on all of its tree."""
        return self.id == self.root_id

    def facts(self, **more: Any) -> dict[str, Any]:
        """The parameters of a verb."""
        known = {"id": self.id, "root_id": self.root_id, "actor": self.actor}
        return known | {"reason": self.reason, "slot": slot()} | more


class Operations:
    """Carries out operations against Postgres, and publishes what they make due."""

    def __init__(
        self, app: Celery, database: Database, dispatch: Dispatch, waiting: Waiting
    ) -> None:
        self._app = app
        self._database = database
        self._queries = Queries(database)
        self._dispatch = dispatch
        self._waiting = waiting
        self._verbs: dict[Operation, Callable[[Request], set[str]]] = {
            Operation.STOP: self._stop,
            Operation.RESUME: self._resume,
            Operation.FORCE_STOP: self._force_stop,
            Operation.CANCEL: self._cancel,
            Operation.RESTART: self._restart,
            Operation.SET_LOW_PRIORITY: self._reprioritize,
            Operation.REMOVE_LOW_PRIORITY: self._reprioritize,
        }

    def apply(
        self,
        operation: Operation,
        ids: str | Iterable[str],
        *,
        actor: str | None = None,
        reason: str | None = None,
    ) -> list[Outcome]:
        """Apply an operation to each job and its descendants; an outcome per id, in order.

        An id that does not exist or does not fit changes nothing and says why. Raises
        DatabaseUnavailable, and what the broker raises where a job cannot be published; the
        jobs before it are changed then, it and those after it are not.
        """
        wanted = [ids] if isinstance(ids, str) else list(_iterated(ids))
        if not all(isinstance(item, str) for item in wanted):
            raise ConfigurationError("job ids are strings")
        wanted = list(dict.fromkeys(wanted))
        by = None if actor is None else cut(storable(actor), _TEXT_MAX)
        why = None if reason is None else cut(storable(reason), _TEXT_MAX)
        return [self._apply_to(operation, job_id, by, why) for job_id in wanted]

    def _apply_to(
        self, operation: Operation, job_id: str, actor: str | None, reason: str | None
    ) -> Outcome:
        found = self._place(job_id)
        if found is None:
            return Outcome(job_id, False, None, 0, NO_SUCH_JOB)
        request = Request(operation, job_id, found.root_id, actor, reason)
        with self._database.transaction() as connection:
            fetch(connection, "one_at_a_time", {"root_id": found.root_id})
            return self._carry_out(request)

    def _carry_out(self, request: Request) -> Outcome:
        operation, job_id = request.operation, request.id
        found = self._queries.standing(job_id)
        if found is None:
            return Outcome(job_id, False, None, 0, NO_SUCH_JOB)
        why_not = refusal(operation, found.standing)
        if why_not is not None and not fits_below(operation, found.standing):
            return Outcome(job_id, False, found.standing.status.value, 0, why_not)
        changed = self._verbs[operation](request)
        after = self._place(job_id)
        own = job_id in changed
        below = len(changed) - own
        if not changed and why_not is None:
            why_not = self._late_refusal(request)
        status = after.status if after else None
        note = self._fenced_note(request, changed)
        return Outcome(
            job_id, own or below > 0, status, below, note if own else note or why_not
        )

    def _fenced_note(self, request: Request, changed: set[str]) -> str | None:
        """Say what a force stop could not kill: it is fenced out, and runs on for a while."""
        if request.operation is not Operation.FORCE_STOP or not changed:
            return None
        rows = self._database.rows("fenced", {"id": request.id, "ids": list(changed)})
        if not rows:
            return None
        alone = len(changed) == 1 and rows[0].itself
        count = sum(row.jobs for row in rows)
        whom = "" if alone else f"{count:,} {'job was' if count == 1 else 'jobs were'} "
        return _FENCED.format(whom=whom, pools=" or ".join(row.pool for row in rows))

    def _place(self, job_id: str) -> Any:
        return self._database.row("place", {"id": storable(job_id)})

    def _late_refusal(self, request: Request) -> str:
        """Say why nothing changed though the operation had fitted a moment ago."""
        found = self._queries.standing(request.id)
        why_not = None if found is None else refusal(request.operation, found.standing)
        if why_not is None and request.operation in _HELD_ABOVE:
            return _HELD_ABOVE[request.operation]
        return why_not or "it changed meanwhile; look again"

    # -- the verbs -------------------------------------------------------------------------

    def _stop(self, request: Request) -> set[str]:
        with self._database.transaction() as connection:
            if self._held(connection, request.id).hold != "cancel":
                fetch(connection, "hold", request.facts(operation="stop"))
        self._settle(request.root_id)
        rows = self._in_batches(request, "stop")
        if not rows:
            every = [job_id for ids in self._tree(request.id) for job_id in ids]
            self._database.rows("drop_idle_hold", request.facts(ids=every))
        self._waiting.stopped(request.root_id, rows, whole=request.is_whole)
        return {row.id for row in rows}

    def _force_stop(self, request: Request) -> set[str]:
        changed: set[str] = set()
        for rows in self._batches(request, "force_stop"):
            changed |= {row.id for row in rows}
            for row in rows:
                self._nudge(row)
        self._settle(request.root_id)
        self._database.rows("close_group", {"id": request.root_id})
        return changed

    def _cancel(self, request: Request) -> set[str]:
        with self._database.transaction() as connection:
            fetch(connection, "cancel_holds", request.facts())
            held = self._held(connection, request.id)
            if held.hold == "stop" or (held.hold is None and held.status == "stopped"):
                fetch(connection, "put_hold", request.facts(operation="cancel"))
        self._in_batches(request, "cancel_unheld")
        self._settle(request.root_id)
        rows = self._in_batches(request, "cancel")
        changed = {row.id for row in rows}
        self._database.rows("close_group", {"id": request.root_id})
        self._waiting.canceled(request.root_id, rows, whole=request.is_whole)
        self._signal(signals.job_canceled, changed)
        return changed

    def _resume(self, request: Request) -> set[str]:
        with self._database.transaction() as connection:
            fetch(connection, "lift", request.facts())
            if self._held(connection, request.id).hold == "stop":
                fetch(connection, "put_hold", request.facts(operation="release"))
        changed: set[str] = set()
        queues: set[str] = set()
        for rows in self._publishing(request, "resume"):
            changed |= {row.id for row in rows}
            queues |= {row.queue for row in rows}
        self._waiting.resumed(request.root_id, queues, whole=request.is_whole)
        self._signal(signals.job_resumed, changed)
        return changed

    def _reprioritize(self, request: Request) -> set[str]:
        """Set the flag, until a walk finds nothing more: children were submitted meanwhile."""
        low, root_id = request.operation is Operation.SET_LOW_PRIORITY, request.root_id
        queues = self._waiting.steered(root_id)
        if request.is_whole:
            self._waiting.move(root_id, queues, low=low)
        changed: set[str] = set()
        for _ in range(_WALKS_MAX):
            more = self._flag(request, low, queues)
            changed |= more
            if more:
                self._settle(root_id)
            elif not request.is_whole or self._waiting.moved(root_id, queues, low=low):
                break
        return changed

    def _flag(self, request: Request, low: bool, queues: list[str]) -> set[str]:
        """Set the flag of a tree once; a whole one is moved afterwards, of others each job."""
        changed: set[str] = set()
        raised = None if low else partial(self._waiting.raised, request.root_id)
        facts = {"low": low, "event": request.operation.value}
        steered = queues if request.is_whole or low else []
        for rows in self._publishing(request, "reprioritize", raised, **facts, steered=steered):
            changed |= {row.id for row in rows}
            if not request.is_whole and low:
                self._waiting.lowered(request.root_id, rows)
            elif not request.is_whole:
                self._waiting.replaced(request.root_id, rows)
        return changed

    def _restart(self, request: Request) -> set[str]:
        nothing = dict.fromkeys(("type", "args", "kwargs", "due_at", "envelope", "body"))
        with self._database.transaction() as connection:
            facts = request.facts(anyway=False, **nothing)
            rows = fetch(connection, "restart", facts)
            for row in rows:
                self._dispatch.publish_again(row, change=partial(_owe_only, row.links_fired))
        return {row.id for row in rows}

    # -- how they are carried out ----------------------------------------------------------

    def _settle(self, root_id: str) -> None:
        """From the return of this on nothing starts below a hold that is committed."""
        self._database.rows("settle", {"root_id": root_id})

    def _held(self, connection: Any, job_id: str) -> Any:
        return fetch(connection, "held", {"id": job_id})[0]

    def _in_batches(self, request: Request, verb: str) -> list[Any]:
        return [row for rows in self._batches(request, verb) for row in rows]

    def _batches(self, request: Request, verb: str) -> Iterator[list[Any]]:
        for ids in self._tree(request.id):
            yield self._database.rows(verb, request.facts(ids=list(ids)))

    def _publishing(
        self,
        request: Request,
        verb: str,
        before: Callable[[list[Any]], None] | None = None,
        **more: Any,
    ) -> Iterator[list[Any]]:
        """Change rows and publish them before the commit: both happen, or neither."""
        for ids in self._tree(request.id):
            with self._database.transaction() as connection:
                rows = fetch(connection, verb, request.facts(ids=list(ids), **more))
                if before is not None:
                    before(rows)
                for row in rows:
                    if row.publish and row.envelope is not None:
                        self._dispatch.publish_again(row)
            yield rows

    def _tree(self, job_id: str) -> Iterator[Sequence[str]]:
        ids = [row.id for row in self._database.rows("tree", {"id": job_id})]
        return (ids[i : i + _BATCH] for i in range(0, len(ids), _BATCH))

    def _nudge(self, row: Any) -> None:
        """Ask the worker's main to kill the process; its next beat would do it too."""
        try:
            self._app.control.broadcast(
                FORCE_STOP_COMMAND,
                arguments={
                    "job_id": row.id, "worker": row.worker, "pid": row.worker_pid,
                    "attempt": row.attempt,
                },
                reply=False,
            )  # fmt: skip
        except Exception as error:
            logger.warning("worker %s was not told of a force stop: %r", row.worker, error)

    def _signal(self, signal: Any, ids: Iterable[str]) -> None:
        if signal.receivers:
            for job_id in ids:
                signal.send(sender=None, job_id=job_id)


def _iterated(ids: Any) -> Iterable[Any]:
    if not isinstance(ids, Iterable):
        raise ConfigurationError("job ids are strings, one or a list of them")
    return ids


def _owe_only(links_fired: bool, message: Message) -> None:
    """Leave in a restarted message only the continuations that no earlier run fired."""
    args, kwargs, embed = message.body
    embed = dict(embed) | {"chord": None}
    if links_fired:
        embed |= {"callbacks": None, "chain": None}
    message.body = (args, kwargs, embed)
