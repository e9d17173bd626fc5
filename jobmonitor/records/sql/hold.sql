-- hold: from its commit on nothing starts at or below the job. Holds and releases below are
-- taken up by this one. Wait with `settle` before answering. O(holds of the root).
WITH RECURSIVE below AS (
    SELECT h.job_id, h.job_id AS node FROM job_hold h
    WHERE h.root_id = %(root_id)s AND h.job_id <> %(id)s AND h.operation <> 'cancel'
    UNION ALL
    SELECT below.job_id, j.parent_id FROM below JOIN job j ON j.id = below.node
    WHERE j.parent_id IS NOT NULL AND below.node <> %(id)s
), gone AS (
    DELETE FROM job_hold WHERE job_id IN (SELECT job_id FROM below WHERE node = %(id)s)
)
INSERT INTO job_hold AS h (job_id, root_id, operation, held_by)
VALUES (%(id)s, %(root_id)s, %(operation)s, %(actor)s)
ON CONFLICT (job_id) DO UPDATE
    SET operation = excluded.operation, held_by = excluded.held_by,
        held_at = clock_timestamp()
    WHERE h.operation <> 'cancel'
