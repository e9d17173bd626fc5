-- below: unfinished descendants of each job, by status; `guarded` ones take no stop, force stop
-- or cancel; `of_run` counts those of its last run. O(descendants).
WITH RECURSIVE tree (top, id, status, guarded, low, of_run) AS (
    SELECT p.id, c.id, c.status,
           c.system AND NOT c.stoppable OR c.pending_because = 'members' AND c.status = 'pending',
           c.low_priority, c.parent_run = p.run
    FROM job p JOIN job c ON c.parent_id = p.id
    WHERE p.id = ANY(%(ids)s)
    UNION ALL
    SELECT tree.top, c.id, c.status,
           c.system AND NOT c.stoppable OR c.pending_because = 'members' AND c.status = 'pending',
           c.low_priority, tree.of_run
    FROM tree JOIN job c ON c.parent_id = tree.id
)
SELECT top, status, coalesce(guarded, false) AS guarded, low, count(*) AS jobs,
       count(*) FILTER (WHERE of_run) AS of_run
FROM tree WHERE status NOT IN ('finished', 'canceled') GROUP BY 1, 2, 3, 4
