-- type_of: the task of a job. O(1).
SELECT type FROM job WHERE id = %(id)s
