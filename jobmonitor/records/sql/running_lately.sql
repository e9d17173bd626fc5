-- running_lately: what these workers run, looked for among the newest jobs only: no index follows
-- the status, since it would move at every claim. O(newest).
SELECT id, type, label, root_id, status, worker, job_seconds_since(running_since) AS runs
FROM (SELECT * FROM job ORDER BY created_at DESC, id DESC LIMIT %(newest)s) AS newest
WHERE status IN ('running', 'stopping') AND worker = ANY(%(workers)s)
ORDER BY running_since DESC
