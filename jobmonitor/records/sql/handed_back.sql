-- handed_back: a worker gives the message of a pending job back, or sets it aside, and says why;
-- in the audit once a reason. `due_at` NULL leaves it. No row: the job is not pending. O(1).
-- The row is locked before it is judged: who publishes again commits only afterwards.
WITH seen AS (
    SELECT id, status, dispatch FROM job WHERE id = %(id)s FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET due_at = coalesce(%(due_at)s::timestamptz, job.due_at),
        pending_because = CASE WHEN %(due_at)s::timestamptz IS NULL THEN job.pending_because
            ELSE 'due' END
    FROM seen
    WHERE job.id = seen.id AND seen.status = 'pending'
      AND seen.dispatch = coalesce(%(dispatch)s::int, seen.dispatch)
    RETURNING job.id, job.status
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, %(event)s, status, status, %(reason)s FROM changed
    WHERE NOT EXISTS (
        SELECT FROM job_event
        WHERE job_id = %(id)s AND event = %(event)s AND reason = %(reason)s
    )
)
SELECT id FROM changed
