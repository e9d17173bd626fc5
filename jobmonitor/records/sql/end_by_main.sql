-- end_by_main: an end that the worker's main process decided (a hard time limit), also where the
-- process had not come to its claim. O(1).
WITH old AS (
    SELECT id, status FROM job
    WHERE id = %(id)s AND (status IN ('running', 'stopping') AND worker = %(worker)s
            AND worker_pid = %(pid)s
        OR status = 'pending' AND dispatch = %(dispatch)s::int)
    FOR NO KEY UPDATE
), ended AS (
    UPDATE job SET
        status = 'finished', finished_at = clock_timestamp(), has_errors = true,
        error = %(reason)s, pending_because = NULL, due_at = NULL, continued = true,
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), unneeded AS (
    DELETE FROM job_message m USING ended WHERE m.job_id = ended.id AND NOT ended.restartable
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, 'finished', was, status, %(reason)s FROM ended
), logged AS (
    INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
    SELECT id, run, attempt, clock_timestamp(), 40, 'jobmonitor.job', %(reason)s FROM ended
)
SELECT id, job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 1, 1)::text AS counted
FROM ended
