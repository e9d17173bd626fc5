-- outbox: jobs whose end Celery has not been told yet, but those that failed in this round. One
-- row is taken and kept locked until the caller commits; O(1).
SELECT job.id, outbox, error, envelope, body, restartable
FROM job LEFT JOIN job_message m ON m.job_id = job.id
WHERE outbox IN ('revoke', 'fail') AND NOT job.id = ANY(%(failed)s)
ORDER BY job.id LIMIT 1 FOR NO KEY UPDATE OF job SKIP LOCKED
