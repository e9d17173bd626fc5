-- put_hold: a hold of this one job's subtree; those below it stay. O(1).
INSERT INTO job_hold AS h (job_id, root_id, operation, held_by)
VALUES (%(id)s, %(root_id)s, %(operation)s, %(actor)s)
ON CONFLICT (job_id) DO UPDATE SET operation = excluded.operation, held_by = excluded.held_by
    WHERE h.operation <> 'cancel'
