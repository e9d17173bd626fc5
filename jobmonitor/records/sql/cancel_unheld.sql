-- cancel_unheld: a cancel at each Stopped job that no hold reaches (it stopped after a resume).
INSERT INTO job_hold AS h (job_id, root_id, operation, held_by)
SELECT id, root_id, 'cancel', %(actor)s FROM job
WHERE id = ANY(%(ids)s) AND status = 'stopped' AND (stoppable OR NOT system)
  AND job_held(root_id, id, parent_id) IS NULL
ON CONFLICT (job_id) DO UPDATE SET operation = 'cancel', held_by = excluded.held_by
