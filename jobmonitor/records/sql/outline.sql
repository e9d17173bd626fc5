-- outline: ids and depths of a job and its descendants, depth first, oldest first, at most
-- :limit. O(descendants).
WITH RECURSIVE tree (id, depth, place) AS (
    SELECT id, 0, ARRAY[(extract(epoch FROM created_at)::numeric(20, 6), id)] FROM job
    WHERE id = %(id)s
    UNION ALL
    SELECT c.id, tree.depth + 1,
           tree.place || (extract(epoch FROM c.created_at)::numeric(20, 6), c.id)
    FROM tree JOIN job c ON c.parent_id = tree.id
)
SELECT id, depth FROM tree ORDER BY place LIMIT %(limit)s
