-- revoked: Celery itself ended the job before or while it ran: expired, revoked. O(1).
WITH old AS (
    SELECT id, status FROM job
    WHERE id = %(id)s AND (%(dispatch)s::int IS NULL OR dispatch = %(dispatch)s::int)
      AND (status IN ('pending', 'stopped')
        OR %(terminated)s AND status IN ('running', 'stopping'))
    FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = 'canceled', finished_at = clock_timestamp(), checkpoint = NULL,
        pending_because = NULL, due_at = NULL,
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), unneeded AS (
    DELETE FROM job_message m USING changed WHERE m.job_id = changed.id
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, 'revoked', was, status, %(reason)s FROM changed
)
SELECT id, job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 1,
                     has_errors::int)::text AS counted
FROM changed
