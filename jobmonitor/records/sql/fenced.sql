-- fenced: of force-stopped jobs, those whose worker cannot kill them, by the kind of its pool.
-- O(ids).
SELECT w.pool, count(*) AS jobs, bool_or(job.id = %(id)s) AS itself
FROM job JOIN worker w ON w.id = job.worker AND w.ended_at IS NULL AND w.pool <> 'prefork'
WHERE job.id = ANY(%(ids)s)
GROUP BY w.pool ORDER BY w.pool
