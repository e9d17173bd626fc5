-- held_by_worker: what a lost worker ran, and what it finished so late that Celery may not have
-- been told. A scan: it happens once per lost worker, and an index on the worker would move at
-- every claim.
SELECT job.id, dispatch, status = 'finished' AND continued AS is_done
FROM job JOIN worker w ON w.id = job.worker
WHERE w.id = %(worker)s
  AND (status IN ('running', 'stopping') OR status = 'finished' AND NOT continued
       OR status = 'finished' AND finished_at > w.beat_at - interval '10 s')
