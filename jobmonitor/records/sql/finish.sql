-- finish: the end of an attempt, durable before the caller goes on. A job that owes a
-- continuation keeps its outcome until `continue`. Nothing comes back where the attempt was
-- fenced out. O(1).
WITH old AS (
    SELECT id, status FROM job
    WHERE id = %(id)s AND attempt = %(attempt)s AND claimed_as = %(claimed_as)s
      AND status IN ('running', 'stopping')
    FOR NO KEY UPDATE
), ended AS (
    UPDATE job SET
        status = 'finished', finished_at = clock_timestamp(),
        pending_because = NULL, due_at = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL,
        has_errors = has_errors OR %(has_errors)s,
        error = %(error)s, traceback = %(traceback)s, result = %(result)s, result_is_whole = %(result_is_whole)s,
        progress_done = coalesce(%(done)s::float8, progress_done),
        progress_total = CASE WHEN %(has_progress)s THEN %(total)s::float8
            ELSE progress_total END,
        progress_message = CASE WHEN %(has_progress)s THEN %(message)s
            ELSE progress_message END,
        checkpoint = coalesce(%(checkpoint)s::json, checkpoint)
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), unneeded AS (
    DELETE FROM job_message m USING ended
    WHERE m.job_id = ended.id AND ended.continued AND NOT ended.restartable
), kept AS (
    UPDATE job_message m SET outcome = %(outcome)s FROM ended
    WHERE m.job_id = ended.id AND NOT ended.continued
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, 'finished', was, status, 'the stop came too late' FROM ended
    WHERE was = 'stopping'
)
SELECT was, (SELECT r.type = 'group' FROM job r WHERE r.id = ended.root_id) AS in_group,
       job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 1,
           has_errors::int)::text AS counted
FROM ended
