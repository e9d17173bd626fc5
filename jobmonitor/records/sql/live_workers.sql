-- live_workers: starts of workers that have not ended, and for how long each was silent. O(workers).
SELECT id, node, host, pid, pool, slots, queues, version, started_at,
       job_seconds_since(beat_at) AS silent
FROM worker WHERE ended_at IS NULL
ORDER BY node, started_at LIMIT %(limit)s
