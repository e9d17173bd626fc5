-- queues_of: the queues of a tree's jobs. O(jobs of the root).
SELECT DISTINCT queue FROM job WHERE root_id = %(root_id)s LIMIT %(limit)s
