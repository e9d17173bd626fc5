-- stand_in: the last part of what replaced a job arrives under the job's id. The caller
-- publishes before it commits; a row held above waits, Stopped. O(1).
WITH old AS (
    SELECT id, CASE WHEN stoppable OR NOT system
               THEN job_held(root_id, id, parent_id) END AS hold FROM job
    WHERE id = %(id)s AND status = 'pending' AND pending_because = 'members'
    FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        dispatch = dispatch + 1, due_at = %(due_at)s::timestamptz,
        pending_because = CASE WHEN %(due_at)s::timestamptz > clock_timestamp()
            THEN 'due' ELSE 'queued' END,
        waiting_since = CASE WHEN old.hold IS NULL
            THEN greatest(clock_timestamp(), %(due_at)s::timestamptz) END,
        status = CASE WHEN old.hold IS NULL THEN 'pending' ELSE 'stopped' END,
        taken_dispatch = CASE WHEN old.hold IS NOT NULL THEN dispatch + 1
            ELSE taken_dispatch END
    FROM old WHERE job.id = old.id
    RETURNING job.id, status, dispatch, root_id, weight, low_priority, due_at, attempt
), message AS (
    INSERT INTO job_message (job_id, envelope, body)
    SELECT id, %(envelope)s, %(body)s FROM changed
    ON CONFLICT (job_id) DO UPDATE SET envelope = excluded.envelope, body = excluded.body,
        outcome = NULL
)
SELECT * FROM changed
