-- lock_guarded: the root and the jobs that no hold reaches, of those that have ended: until the
-- caller commits, none of them begins a new run. What somebody else changes now is skipped, so
-- that nobody waits in a circle. O(jobs of the root).
SELECT id FROM job
WHERE root_id = %(root_id)s AND (id = root_id OR system AND NOT stoppable)
  AND status IN ('finished', 'canceled')
ORDER BY id FOR SHARE SKIP LOCKED
