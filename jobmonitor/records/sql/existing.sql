-- existing: the job that an insert met, by id or by its key within (parent, run). O(log n).
SELECT id, status, attempt, dispatch, low_priority, parent_id, pending_because, run
FROM job
WHERE id = %(id)s
   OR (parent_id = %(parent_id)s AND parent_run = coalesce(%(parent_run)s::int,
           (SELECT run FROM job WHERE id = %(parent_id)s))
       AND key = %(key)s)
LIMIT 1
