-- cancel: what is Stopped under a cancel is Canceled; checkpoint and message go, a worker tells
-- Celery. O(ids).
WITH old AS (
    SELECT id, status FROM job
    WHERE id = ANY(%(ids)s)
      AND (status = 'stopped' OR status = 'pending' AND pending_because <> 'members')
      AND job_held(root_id, id, parent_id) = 'cancel' AND (stoppable OR NOT system)
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = 'canceled', finished_at = clock_timestamp(), checkpoint = NULL,
        pending_because = NULL, due_at = NULL, outbox = 'revoke',
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, 'cancel', %(actor)s, was, status, %(reason)s FROM changed ORDER BY id
), sums AS (
    SELECT parent_id, parent_run, root_id, root_run, count(*) AS ended,
           count(*) FILTER (WHERE has_errors) AS errors
    FROM changed GROUP BY 1, 2, 3, 4 ORDER BY 1
)
SELECT id, status, queue, dispatch, coalesce(taken_dispatch >= dispatch, false) AS taken,
       (SELECT count(job_count(parent_id, parent_run, root_id, root_run, %(slot)s,
                               0, ended, errors)::text) FROM sums) AS counted
FROM changed
