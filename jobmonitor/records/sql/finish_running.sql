-- finish_running: `finish` in its usual case, for half the work: nobody asked for a stop, nothing
-- is owed, and its message is needed no more. No row for all others. O(1).
WITH ended AS (
    UPDATE job SET
        status = 'finished', finished_at = clock_timestamp(),
        pending_because = NULL, due_at = NULL,
        ran = ran + greatest(0, extract(epoch FROM clock_timestamp() - running_since)),
        running_since = NULL, has_errors = has_errors OR %(has_errors)s,
        error = %(error)s, traceback = %(traceback)s, result = %(result)s,
        result_is_whole = %(result_is_whole)s,
        progress_done = coalesce(%(done)s::float8, progress_done),
        progress_total = CASE WHEN %(has_progress)s THEN %(total)s::float8
            ELSE progress_total END,
        progress_message = CASE WHEN %(has_progress)s THEN %(message)s
            ELSE progress_message END,
        checkpoint = coalesce(%(checkpoint)s::json, checkpoint)
    WHERE id = %(id)s AND attempt = %(attempt)s AND claimed_as = %(claimed_as)s
      AND status = 'running' AND continued AND NOT restartable
    RETURNING id, parent_id, parent_run, root_id, root_run, has_errors
), unneeded AS (
    DELETE FROM job_message WHERE job_id = (SELECT id FROM ended)
)
SELECT CASE WHEN parent_id IS NOT NULL
            THEN (SELECT p.type = 'group' FROM job p WHERE p.id = ended.root_id) END AS in_group,
       CASE WHEN parent_id IS NOT NULL
            THEN job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 1,
                           has_errors::int)::text END AS counted
FROM ended
