-- restart: a new run of a finished job; the ended one goes to its history. Its own hold goes.
-- The caller publishes before it commits. Nothing comes back where it does not fit, or where a
-- hold is above it. O(1) and one
-- look at its unfinished descendants.
WITH RECURSIVE below AS (
    SELECT c.id, c.status FROM job c JOIN job p ON p.id = c.parent_id
    WHERE p.id = %(id)s AND c.parent_run = p.run
    UNION ALL
    SELECT c.id, c.status FROM below JOIN job c ON c.parent_id = below.id
), old AS (
    SELECT * FROM job
    WHERE id = %(id)s AND (status = 'finished' OR %(anyway)s AND status = 'canceled')
      AND (restartable OR %(anyway)s) AND continued
      AND coalesce(outbox, 'forget') = 'forget'
      AND NOT EXISTS (SELECT FROM below WHERE status NOT IN ('finished', 'canceled'))
      AND (parent_id IS NULL OR system AND NOT stoppable OR (
          SELECT job_held(p.root_id, p.id, p.parent_id) FROM job p WHERE p.id = job.parent_id
      ) IS NULL)
    FOR NO KEY UPDATE
), history AS (
    INSERT INTO job_run (job_id, run, started_at, finished_at, waited, first_wait, ran, attempts,
                         retries, lost, has_errors, error, traceback, result)
    SELECT id, run, started_at, finished_at, waited, first_wait, ran,
           attempt - (SELECT coalesce(sum(r.attempts), 0) FROM job_run r WHERE r.job_id = old.id),
           retries, lost, has_errors, error, traceback, result
    FROM old
), unheld AS (
    DELETE FROM job_hold h USING old WHERE h.job_id = old.id
), changed AS (
    UPDATE job SET
        status = 'pending', run = job.run + 1, dispatch = job.dispatch + 1, retries = 0, lost = 0,
        type = coalesce(%(type)s, job.type), args = coalesce(%(args)s, job.args),
        kwargs = coalesce(%(kwargs)s, job.kwargs),
        pending_because = CASE WHEN %(due_at)s::timestamptz > clock_timestamp()
            THEN 'due' ELSE 'queued' END,
        due_at = %(due_at)s::timestamptz, continued = true, outbox = 'forget',
        has_errors = false, error = NULL, traceback = NULL, result = NULL, result_is_whole = false,
        waiting_since = greatest(clock_timestamp(), %(due_at)s::timestamptz),
        waited = 0, first_wait = NULL, started_at = NULL, running_since = NULL, ran = 0,
        finished_at = NULL, progress_done = NULL, progress_total = NULL, progress_message = NULL,
        checkpoint = NULL, checkpoint_at = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was, old.has_errors AS had_errors
), message AS (
    INSERT INTO job_message AS m (job_id, envelope, body)
    SELECT id, %(envelope)s, %(body)s FROM changed WHERE %(envelope)s::text IS NOT NULL
    ON CONFLICT (job_id) DO UPDATE SET envelope = excluded.envelope, body = excluded.body,
        outcome = NULL
), reopened AS (
    UPDATE job SET status = 'running', finished_at = NULL, running_since = clock_timestamp()
    FROM changed WHERE job.id = changed.root_id AND job.type = 'group'
      AND job.status = 'finished'
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, 'restart', %(actor)s, was, status, %(reason)s FROM changed
)
SELECT changed.id, status, dispatch, root_id, weight, low_priority, due_at, 0 AS attempt, true AS publish,
       links_fired, had_errors, envelope, body,
       system AND NOT stoppable AND parent_id IS NOT NULL AS unheld,
       job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, -1,
                 -had_errors::int)::text AS counted
FROM changed LEFT JOIN job_message m ON m.job_id = changed.id
