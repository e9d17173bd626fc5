-- named: what people call these jobs, and who runs them. O(ids).
SELECT id, type, label, root_id, status, worker,
       CASE WHEN running_since IS NULL THEN NULL ELSE job_seconds_since(running_since) END AS runs
FROM job WHERE id = ANY(%(ids)s)
