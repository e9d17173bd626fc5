-- taint: a job that had finished without errors logged one in Celery's tail after it. O(1).
WITH tainted AS (
    UPDATE job SET has_errors = true
    WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'finished' AND NOT has_errors
    RETURNING parent_id, parent_run, root_id, root_run
)
SELECT job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 0, 1)::text FROM tainted
