-- again: a running attempt ends in another turn of the same job (retry, requeue, replace):
-- pending with a new dispatch, or stopped where a stop was asked meanwhile. The caller publishes
-- before it commits. Nothing comes back where the attempt was fenced out. O(1).
WITH old AS (
    SELECT id, status, CASE WHEN stoppable OR NOT system
               THEN job_held(root_id, id, parent_id) END AS hold FROM job
    WHERE id = %(id)s AND attempt = %(attempt)s AND claimed_as = %(claimed_as)s
      AND status IN ('running', 'stopping')
    FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = CASE WHEN old.hold = 'cancel' THEN 'canceled'
            WHEN old.status = 'stopping' OR old.hold = 'stop' THEN 'stopped' ELSE 'pending' END,
        finished_at = CASE old.hold WHEN 'cancel' THEN clock_timestamp() END,
        outbox = CASE old.hold WHEN 'cancel' THEN 'revoke' ELSE outbox END,
        pending_because = CASE WHEN old.hold IS DISTINCT FROM 'cancel' THEN %(because)s END,
        due_at = CASE WHEN old.hold IS DISTINCT FROM 'cancel' THEN %(due_at)s::timestamptz END,
        type = coalesce(%(type)s, type), queue = coalesce(%(queue)s, queue), args = coalesce(%(args)s, args),
        kwargs = coalesce(%(kwargs)s, kwargs),
        dispatch = dispatch + 1, retries = retries + %(retried)s::int,
        taken_dispatch = CASE WHEN old.status = 'stopping' OR old.hold IS NOT NULL
            THEN dispatch + 1 ELSE taken_dispatch END,
        waiting_since = CASE WHEN old.status = 'running' AND old.hold IS NULL
            AND %(because)s <> 'members'
            THEN greatest(clock_timestamp(), %(due_at)s::timestamptz) END,
        ran = ran + job_seconds_since(running_since), running_since = NULL,
        has_errors = has_errors OR %(has_errors)s,
        progress_done = coalesce(%(done)s::float8, progress_done),
        progress_total = CASE WHEN %(has_progress)s THEN %(total)s::float8
            ELSE progress_total END,
        progress_message = CASE WHEN %(has_progress)s THEN %(message)s
            ELSE progress_message END,
        checkpoint = CASE WHEN old.hold = 'cancel' THEN NULL
            ELSE coalesce(%(checkpoint)s::json, checkpoint) END,
        checkpoint_at = CASE WHEN %(checkpoint)s::json IS NULL THEN checkpoint_at
            ELSE clock_timestamp() END
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), message AS (
    UPDATE job_message m SET envelope = %(envelope)s, body = %(body)s, outcome = NULL
    FROM changed WHERE m.job_id = changed.id AND %(envelope)s::text IS NOT NULL
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, %(event)s, was, status, %(reason)s FROM changed
)
SELECT status, dispatch, root_id, weight, low_priority, due_at, attempt, parent_id,
       (SELECT envelope FROM job_message m WHERE m.job_id = changed.id) AS envelope,
       (SELECT body FROM job_message m WHERE m.job_id = changed.id) AS body,
       job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0,
           (status = 'canceled')::int, (status = 'canceled' AND has_errors)::int)::text AS counted
FROM changed
