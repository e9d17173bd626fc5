-- reprioritize: the flag of what is not final. What waits in a queue of `steered` and is not due
-- later keeps its message, of which the caller says what becomes (`waits`); what else waits is
-- published again with the flag (the caller does so before it commits), what is Stopped when it
-- is resumed. O(ids).
WITH old AS (
    SELECT id, status, pending_because IS DISTINCT FROM 'members' AS has_message,
           queue = ANY(%(steered)s::text[]) AND due_at IS NULL
               AND NOT (status = 'pending' AND coalesce(taken_dispatch >= dispatch, false)) AS stays
    FROM job
    WHERE id = ANY(%(ids)s) AND status NOT IN ('finished', 'canceled')
      AND low_priority <> %(low)s
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        low_priority = %(low)s,
        dispatch = dispatch
            + (old.status IN ('pending', 'stopped') AND has_message AND NOT stays)::int,
        taken_dispatch = CASE WHEN old.status = 'stopped' AND NOT stays THEN dispatch + 1
            ELSE taken_dispatch END
    FROM old WHERE job.id = old.id
    RETURNING job.*, has_message, stays
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, %(event)s, %(actor)s, status, status, %(reason)s FROM changed ORDER BY id
)
SELECT changed.id, status, queue, dispatch, root_id, weight, low_priority, due_at, attempt,
       stays AND has_message AND status IN ('pending', 'stopped')
           AND NOT coalesce(taken_dispatch >= dispatch, false) AS waits,
       status = 'pending' AND has_message AND NOT stays AS publish, envelope, body
FROM changed LEFT JOIN job_message m ON m.job_id = changed.id AND status = 'pending' AND NOT stays
ORDER BY changed.id
