-- beside: what has ended beside these jobs or beside a job above them, steps of chains included.
-- O(their siblings).
WITH RECURSIVE above AS (
    SELECT parent_id AS id FROM job WHERE id = ANY(%(ids)s) AND parent_id IS NOT NULL
    UNION
    SELECT j.parent_id FROM above JOIN job j ON j.id = above.id WHERE j.parent_id IS NOT NULL
), siblings AS (
    SELECT c.id, c.status FROM above JOIN job c ON c.parent_id = above.id
)
SELECT id FROM siblings WHERE status IN ('finished', 'canceled')
UNION
SELECT s.id FROM siblings JOIN job s ON s.parent_id = siblings.id AND s.step_of = siblings.id
WHERE s.status IN ('finished', 'canceled')
