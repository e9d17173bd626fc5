-- tree: the ids of a job and its descendants, parents first. O(descendants).
WITH RECURSIVE tree (id, depth) AS (
    SELECT id, 0 FROM job WHERE id = %(id)s
    UNION ALL
    SELECT c.id, tree.depth + 1 FROM tree JOIN job c ON c.parent_id = tree.id
)
SELECT id FROM tree ORDER BY depth, id
