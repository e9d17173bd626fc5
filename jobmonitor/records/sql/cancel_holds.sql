-- cancel_holds: the stops at and below the job become cancels, so that what is still stopping
-- is canceled when it stops and what is submitted below is born Canceled.
WITH RECURSIVE below AS (
    SELECT h.job_id, h.job_id AS node FROM job_hold h
    WHERE h.root_id = %(root_id)s AND h.operation = 'stop'
    UNION ALL
    SELECT below.job_id, j.parent_id FROM below JOIN job j ON j.id = below.node
    WHERE j.parent_id IS NOT NULL AND below.node <> %(id)s
)
UPDATE job_hold SET operation = 'cancel', held_by = %(actor)s, held_at = clock_timestamp()
WHERE job_id IN (SELECT job_id FROM below WHERE node = %(id)s)
