-- purged: the messages of a queue were removed. What waited there is Canceled, at most so many at
-- once; of what is Stopped only the message is gone, so that a resume publishes again. O(jobs).
WITH stopped AS (
    UPDATE job SET taken_dispatch = dispatch
    WHERE queue = %(queue)s AND status = 'stopped' AND taken_dispatch IS DISTINCT FROM dispatch
), old AS (
    SELECT id FROM job
    WHERE queue = %(queue)s AND status = 'pending' AND pending_because <> 'members'
      AND created_at < %(before)s::timestamptz
    ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = 'canceled', finished_at = clock_timestamp(), checkpoint = NULL,
        pending_because = NULL, due_at = NULL, outbox = 'revoke',
        taken_dispatch = dispatch,
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, 'cancel', %(actor)s, 'pending', status, 'purged' FROM changed ORDER BY id
), sums AS (
    SELECT parent_id, parent_run, root_id, root_run, count(*) AS ended,
           count(*) FILTER (WHERE has_errors) AS errors
    FROM changed GROUP BY 1, 2, 3, 4 ORDER BY 1
)
SELECT id, root_id,
       (SELECT count(job_count(parent_id, parent_run, root_id, root_run, %(slot)s,
                               0, ended, errors)::text) FROM sums) AS counted
FROM changed
