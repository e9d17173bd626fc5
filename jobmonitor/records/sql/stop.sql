-- stop: what waits is Stopped (its message and number stay), what runs is asked to stop.
-- One batch of ids; compare-and-set on the status. What a claim met the hold first is counted
-- as stopped by it. O(ids).
WITH old AS (
    SELECT id, status FROM job
    WHERE id = ANY(%(ids)s) AND status IN ('pending', 'running')
      AND type <> 'group' AND pending_because IS DISTINCT FROM 'members'
      AND (stoppable OR NOT system)
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = CASE old.status WHEN 'pending' THEN 'stopped' ELSE 'stopping' END,
        waited = waited + job_seconds_since(waiting_since), waiting_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.id, old.status AS was, job.status, queue
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT id, 'stop', %(actor)s, was, status, %(reason)s FROM changed ORDER BY id
)
SELECT id, status, was, queue FROM changed
UNION
SELECT e.job_id, 'stopped', NULL, NULL FROM job_hold h
JOIN job_event e ON e.job_id = ANY(%(ids)s)
    AND e.event IN ('refused', 'worker lost', 'worker shut down') AND e.to_status = 'stopped'
    AND e.at > h.held_at
WHERE h.job_id = %(id)s
