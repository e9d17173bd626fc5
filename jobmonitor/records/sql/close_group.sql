-- close_group: a group of which everything is final, and owes nothing, is finished.
-- O(slots); where all is final, one look at its jobs.
UPDATE job AS g
SET status = 'finished', finished_at = clock_timestamp(), running_since = NULL,
    ran = ran + job_seconds_since(running_since)
WHERE id = %(id)s AND type = 'group' AND status = 'running'
  AND CASE WHEN (SELECT sum(descendants_total) = sum(descendants_finished) FROM job_children c
                 WHERE c.job_id = g.id AND c.run = g.run)
      THEN NOT EXISTS (SELECT FROM job j WHERE j.root_id = g.id AND j.status = 'finished'
                       AND NOT j.continued) END
RETURNING id
