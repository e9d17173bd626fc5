-- unrunnable: a delivered message that can never run as it is: of a task that nobody knows, or
-- unreadable. The job has ended with an error; its message stays, and since nothing of it ran it
-- may be restarted whatever its task says. Of a stopped job only the message is gone. O(1).
-- The row is locked before it is judged: who publishes again commits only afterwards.
WITH seen AS (
    SELECT id, status, dispatch FROM job WHERE id = %(id)s FOR NO KEY UPDATE
), old AS (
    SELECT id, status FROM seen
    WHERE dispatch = %(dispatch)s AND status IN ('pending', 'stopped')
), ended AS (
    UPDATE job SET
        taken_dispatch = greatest(taken_dispatch, %(dispatch)s),
        status = CASE old.status WHEN 'pending' THEN 'finished' ELSE old.status END,
        finished_at = CASE old.status WHEN 'pending' THEN clock_timestamp() END,
        has_errors = has_errors OR old.status = 'pending',
        error = CASE old.status WHEN 'pending' THEN %(error)s ELSE error END,
        restartable = restartable OR old.status = 'pending',
        pending_because = CASE old.status WHEN 'stopped' THEN pending_because END,
        due_at = CASE old.status WHEN 'stopped' THEN due_at END,
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, 'finished', was, status, %(error)s FROM ended WHERE was = 'pending'
), logged AS (
    INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
    SELECT id, run, attempt, clock_timestamp(), 40, 'jobmonitor.job', %(error)s
    FROM ended WHERE was = 'pending'
)
SELECT id, root_id, job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 1,
       1)::text AS counted
FROM ended WHERE was = 'pending'
