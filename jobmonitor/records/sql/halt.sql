-- halt: a stopping attempt reached its safe point: stopped, or canceled under a cancel.
-- Nothing comes back where the attempt was fenced out or the stop was lifted. O(1).
WITH old AS (
    SELECT id, status, CASE WHEN stoppable OR NOT system
               THEN job_held(root_id, id, parent_id) END AS hold FROM job
    WHERE id = %(id)s AND attempt = %(attempt)s AND claimed_as = %(claimed_as)s
      AND status = 'stopping' FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = CASE old.hold WHEN 'cancel' THEN 'canceled' ELSE 'stopped' END,
        finished_at = CASE old.hold WHEN 'cancel' THEN clock_timestamp() END,
        outbox = CASE old.hold WHEN 'cancel' THEN 'revoke' ELSE outbox END,
        pending_because = NULL, due_at = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL,
        progress_done = coalesce(%(done)s::float8, progress_done),
        progress_total = CASE WHEN %(has_progress)s THEN %(total)s::float8
            ELSE progress_total END,
        progress_message = CASE WHEN %(has_progress)s THEN %(message)s
            ELSE progress_message END,
        checkpoint = CASE WHEN old.hold = 'cancel' THEN NULL
            ELSE coalesce(%(checkpoint)s::json, checkpoint) END,
        checkpoint_at = clock_timestamp(),
        has_errors = has_errors OR %(has_errors)s
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, status, was, status, 'at a checkpoint' FROM changed
)
SELECT status, job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0,
           (status = 'canceled')::int, (status = 'canceled' AND has_errors)::int)::text AS counted
FROM changed
