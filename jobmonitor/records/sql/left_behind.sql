-- left_behind: of these jobs, what a worker still holds when its pool has ended, and what it
-- finished although Celery may not have been told. O(ids).
SELECT id, dispatch, worker_pid, status = 'finished' AND continued AS is_done
FROM job WHERE id = ANY(%(ids)s) AND worker = %(worker)s
  AND status IN ('running', 'stopping', 'finished')
