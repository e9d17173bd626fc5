-- last_line: the id of a job's newest line. O(days since it was created).
SELECT id FROM job_log
WHERE job_id = %(id)s
  AND at <= now() + interval '1 h'
  AND at >= (SELECT created_at - interval '1 h' FROM job WHERE id = %(id)s)
ORDER BY id DESC LIMIT 1
