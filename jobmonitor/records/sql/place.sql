-- place: the root, the parent and the status of a job. O(1).
SELECT root_id, parent_id, status FROM job WHERE id = %(id)s
