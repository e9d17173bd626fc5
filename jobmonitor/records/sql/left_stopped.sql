-- left_stopped: what of a tree is Stopped and may have a message that waits. O(jobs of the root).
SELECT id FROM job
WHERE root_id = %(root_id)s AND status = 'stopped' AND coalesce(taken_dispatch < dispatch, true)
ORDER BY id
