-- resume: what is Stopped and no longer held waits again, from its checkpoint; a due time still
-- ahead is kept. `publish` says that its message was taken meanwhile (dispatch + 1): the caller
-- publishes before it commits. So it is with one whose due time has passed: without a due time
-- a message waits in its root, never among those that are due later. O(ids).
WITH old AS (
    SELECT id, status,
           coalesce(taken_dispatch >= dispatch, false)
               OR coalesce(due_at <= clock_timestamp(), false) AS publish
    FROM job
    WHERE id = ANY(%(ids)s) AND status = 'stopped' AND job_held(root_id, id, parent_id) IS NULL
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = 'pending', dispatch = dispatch + publish::int,
        pending_because = CASE WHEN due_at > clock_timestamp()
            THEN coalesce(pending_because, 'due') ELSE 'queued' END,
        due_at = CASE WHEN due_at > clock_timestamp() THEN due_at END,
        waiting_since = greatest(clock_timestamp(), due_at)
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was, publish
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, 'resume', %(actor)s, was, status, %(reason)s FROM changed ORDER BY id
)
SELECT changed.id, status, queue, dispatch, root_id, weight, low_priority, due_at, attempt, publish, envelope, body
FROM changed LEFT JOIN job_message m ON m.job_id = changed.id AND publish
ORDER BY changed.id
