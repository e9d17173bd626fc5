-- below: unfinished descendants of each job, by status. O(descendants).
WITH RECURSIVE tree (top, id, status) AS (
    SELECT p.id, c.id, c.status FROM job p JOIN job c ON c.parent_id = p.id
    WHERE p.id = ANY(%(ids)s)
    UNION ALL
    SELECT tree.top, c.id, c.status FROM tree JOIN job c ON c.parent_id = tree.id
)
SELECT top, status, count(*) AS jobs FROM tree
WHERE status NOT IN ('finished', 'canceled') GROUP BY top, status
