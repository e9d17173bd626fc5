-- whose: who holds these jobs now. O(ids).
SELECT id, status, dispatch, worker, worker_pid FROM job WHERE id = ANY(%(ids)s)
