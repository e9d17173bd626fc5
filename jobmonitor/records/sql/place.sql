-- place: the root and the status of a job. O(1).
SELECT root_id, status FROM job WHERE id = %(id)s
