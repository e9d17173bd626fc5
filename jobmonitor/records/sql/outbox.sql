-- outbox: jobs whose end Celery has not been told yet, but those that failed in this round; of
-- one job where `id` is given. One row is taken and kept locked until the caller commits; O(1).
SELECT job.id, type, parent_id, outbox, error, envelope, body, restartable,
       (SELECT CASE e.event WHEN 'revoked' THEN e.reason END FROM job_event e
        WHERE e.job_id = job.id ORDER BY e.id DESC LIMIT 1) AS revoked_as
FROM job LEFT JOIN job_message m ON m.job_id = job.id
WHERE outbox IN ('revoke', 'fail') AND NOT job.id = ANY(%(failed)s)
  AND (%(id)s::text IS NULL OR job.id = %(id)s)
ORDER BY job.id LIMIT 1 FOR NO KEY UPDATE OF job SKIP LOCKED
