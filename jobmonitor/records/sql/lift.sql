-- lift: remove the stops at and below the job; where one above remains, release this subtree.
-- A cancel stays. The answer is what still holds the job afterwards. O(holds of the root).
WITH RECURSIVE below AS (
    SELECT h.job_id, h.job_id AS node FROM job_hold h
    WHERE h.root_id = %(root_id)s AND h.operation <> 'cancel'
    UNION ALL
    SELECT below.job_id, j.parent_id FROM below JOIN job j ON j.id = below.node
    WHERE j.parent_id IS NOT NULL AND below.node <> %(id)s
)
DELETE FROM job_hold WHERE job_id IN (SELECT job_id FROM below WHERE node = %(id)s)
