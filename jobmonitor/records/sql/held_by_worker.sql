-- held_by_worker: what a lost worker ran. A scan: it happens once per lost worker, and an index
-- on the worker would move at every claim.
SELECT id, dispatch FROM job
WHERE worker = %(worker)s
  AND (status IN ('running', 'stopping') OR status = 'finished' AND NOT continued)
