-- ended_as: how a job stands and ended, to resolve an answer that was lost. O(1).
SELECT id, type, status, attempt, claimed_as, worker, worker_pid, result, result_is_whole, error
FROM job WHERE id = %(id)s
