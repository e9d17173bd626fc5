-- held: the nearest hold at or above a job, for an operation that is about to change it.
SELECT status, job_held(root_id, id, parent_id) AS hold FROM job WHERE id = %(id)s
