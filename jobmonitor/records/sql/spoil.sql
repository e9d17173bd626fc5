-- spoil: Celery could not keep the result of a job that had finished: it has an error after all.
WITH spoiled AS (
    UPDATE job SET has_errors = true, error = %(error)s, result = NULL
    WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'finished' AND NOT has_errors
    RETURNING parent_id, parent_run, root_id, root_run
)
SELECT job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0, 0, 1)::text FROM spoiled
