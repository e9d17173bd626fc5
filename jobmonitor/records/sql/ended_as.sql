-- ended_as: where a job stands, to resolve a commit whose answer was lost. O(1).
SELECT status, attempt FROM job WHERE id = %(id)s
