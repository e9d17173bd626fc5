"""All rows at one moment, as they are and as the model says; and what must always hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.records.life_model import Model
from tests.records.life_world import World

_ROWS = """
SELECT id, status, run, attempt, dispatch, coalesce(taken_dispatch, 0), retries, lost,
       low_priority, has_errors, continued, outbox, worker, worker_pid,
       (checkpoint ->> 'state')::int, parent_id, parent_run, root_id, root_run,
       CASE WHEN status = 'pending' THEN pending_because END,
       coalesce(due_at > clock_timestamp(), false) AND status NOT IN ('finished', 'canceled'),
       CASE WHEN stoppable OR NOT system THEN job_held(root_id, id, parent_id) END,
       EXISTS (SELECT FROM job_message m WHERE m.job_id = job.id),
       waited + job_seconds_since(waiting_since), ran + job_seconds_since(running_since)
FROM job ORDER BY id COLLATE "C"
"""
_MISCOUNTED = """
WITH counted AS (
    SELECT job_id, run, sum(total) AS total, sum(finished) AS finished,
           sum(with_errors) AS with_errors, sum(descendants_total) AS d_total,
           sum(descendants_finished) AS d_finished, sum(descendants_with_errors) AS d_errors
    FROM job_children GROUP BY 1, 2
), one AS (
    SELECT *, (status IN ('finished', 'canceled'))::int AS final,
           (status IN ('finished', 'canceled') AND has_errors)::int AS bad
    FROM job WHERE parent_id IS NOT NULL
), children AS (
    SELECT parent_id AS job_id, parent_run AS run, count(*) AS total, sum(final) AS finished,
           sum(bad) AS with_errors FROM one GROUP BY 1, 2
), descendants AS (
    SELECT root_id AS job_id, root_run AS run, count(*) AS d_total, sum(final) AS d_finished,
           sum(bad) AS d_errors FROM one GROUP BY 1, 2
), rows AS (
    SELECT job_id, run, coalesce(total, 0) AS total, coalesce(finished, 0) AS finished,
           coalesce(with_errors, 0) AS with_errors, coalesce(d_total, 0) AS d_total,
           coalesce(d_finished, 0) AS d_finished, coalesce(d_errors, 0) AS d_errors
    FROM children FULL JOIN descendants USING (job_id, run)
)
SELECT to_json(c), to_json(r) FROM counted c FULL JOIN rows r USING (job_id, run)
WHERE (c.total, c.finished, c.with_errors, c.d_total, c.d_finished, c.d_errors)
    IS DISTINCT FROM (r.total, r.finished, r.with_errors, r.d_total, r.d_finished, r.d_errors)
  AND NOT (r.job_id IS NULL AND c.total = 0 AND c.d_total = 0)
"""


@dataclass(frozen=True)
class Snapshot:
    """Every row as far as the model knows it, and every message that was published."""

    rows: tuple[tuple[Any, ...], ...]
    published: frozenset[tuple[tuple[str, int, bool], int]]


def snapshot_of_world(world: World) -> Snapshot:
    """Read the rows; ends that nobody followed up are closed first, as each beat does."""
    world.database.rows("close_groups", {})
    rows = []
    for *row, waited, ran in world.sql(_ROWS):
        check_times(world, (row[0], row[2]), waited, ran)
        rows.append(tuple(row))
    return Snapshot(tuple(rows), frozenset(Counter(world.published).items()))


def check_times(world: World, run: tuple[str, int], waited: float, ran: float) -> None:
    """Waiting and duration are never negative, and never shrink within a run."""
    before = world.times.get(run, (0.0, 0.0))
    assert waited >= before[0], f"{run} has waited less than before"
    assert ran >= before[1], f"{run} has run less than before"
    world.times[run] = (waited, ran)


def snapshot_of_model(model: Model) -> Snapshot:
    """The same, as it should be."""
    model.close_groups()
    rows = (
        (
            job.id, job.status, job.run, job.attempt, job.dispatch, job.taken, job.retries,
            job.lost, job.low, job.has_errors, job.continued, job.outbox, job.worker, job.pid,
            job.checkpoint, job.parent, job.parent_run, job.root, job.root_run,
            job.because if job.status == "pending" else None, job.due, model.held(job),
            job.has_message,
        )
        for job in sorted(model.jobs.values(), key=lambda job: job.id)
    )  # fmt: skip
    return Snapshot(tuple(rows), frozenset(Counter(model.copies).items()))


def miscounted(world: World) -> list[Any]:
    """Counters that are not a count of the rows in the same snapshot."""
    return world.sql(_MISCOUNTED)


def differences(found: Snapshot, expected: Snapshot) -> str:
    """What the world lacks (-) and has too much (+)."""
    lines = [f"- {row}" for row in expected.rows if row not in found.rows]
    lines += [f"+ {row}" for row in found.rows if row not in expected.rows]
    lines += [f"- published {copy}" for copy in sorted(expected.published - found.published)]
    lines += [f"+ published {copy}" for copy in sorted(found.published - expected.published)]
    return "\n".join(lines)
