-- take_back: undo a create whose publish failed; nothing comes back where a worker has it. O(1).
WITH gone AS (
    DELETE FROM job
    WHERE id = %(id)s AND attempt = 0 AND dispatch = 1 AND status = 'pending'
    RETURNING id, parent_id, parent_run, root_id, root_run
), message AS (
    DELETE FROM job_message m USING gone WHERE m.job_id = gone.id
)
SELECT id, job_count(parent_id, parent_run, root_id, root_run, %(slot)s, -1, 0, 0)::text
FROM gone
