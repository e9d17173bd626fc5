-- revoked: Celery itself ended the job before or while it ran: expired, revoked. The answer says
-- how the job stood and whether it is canceled now; Celery is told from the outbox. O(1).
WITH seen AS (
    SELECT id, status, dispatch, pending_because FROM job WHERE id = %(id)s FOR NO KEY UPDATE
), old AS (
    SELECT id, status FROM seen
    WHERE (%(dispatch)s::int IS NULL OR dispatch = %(dispatch)s::int)
      AND (status IN ('pending', 'stopped') AND pending_because IS DISTINCT FROM 'members'
        OR %(terminated)s AND status IN ('running', 'stopping'))
), changed AS (
    UPDATE job SET
        status = 'canceled', finished_at = clock_timestamp(), checkpoint = NULL,
        pending_because = NULL, due_at = NULL, outbox = 'revoke',
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, 'revoked', was, status, %(reason)s FROM changed
)
SELECT seen.status AS was, changed.id IS NOT NULL AS is_changed,
       CASE WHEN changed.id IS NOT NULL THEN job_count(changed.parent_id, changed.parent_run,
           changed.root_id, changed.root_run, %(slot)s, 0, 1, changed.has_errors::int)::text
       END AS counted
FROM seen LEFT JOIN changed ON changed.id = seen.id
