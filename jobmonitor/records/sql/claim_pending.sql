-- claim_pending: take a job that simply waits, which is nearly every one; no row for all others,
-- which `claim` then judges. Commits asynchronously, unless the job must not run twice: a crash of
-- Postgres may forget the claim, so what the attempt writes is also fenced by `claimed_as`, and a
-- refused write claims again. O(1); ancestors are walked only where the root has a hold.
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', CASE WHEN %(rerun)s THEN 'off'
        ELSE current_setting('synchronous_commit') END, true) AS mode
)
UPDATE job SET
    status = 'running', attempt = attempt + 1, claimed_as = %(claimed_as)s,
    worker = %(worker)s, worker_pid = %(pid)s, taken_dispatch = dispatch,
    waited = waited + greatest(0, coalesce(
        extract(epoch FROM clock_timestamp() - waiting_since), 0)),
    first_wait = coalesce(first_wait, waited + greatest(0, coalesce(
        extract(epoch FROM clock_timestamp() - waiting_since), 0))),
    waiting_since = NULL, running_since = clock_timestamp(),
    started_at = coalesce(started_at, clock_timestamp()),
    continued = NOT %(continues)s, system = system OR %(system)s,
    stoppable = coalesce(%(stoppable)s, NOT (system OR %(system)s)),
    restartable = %(restartable)s
FROM quick
WHERE id = %(id)s AND status = 'pending' AND dispatch = %(dispatch)s AND outbox IS NULL
  AND (system AND NOT stoppable OR job_held(root_id, id, parent_id) IS NULL)
RETURNING 'run' AS verdict, 'pending' AS was, attempt, run, root_id, parent_id, step_of, stoppable,
          lost, checkpoint, progress_total, outbox
