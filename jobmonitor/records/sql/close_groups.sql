-- close_groups: groups of the last 30 days of which everything is final, which no end closed.
UPDATE job AS g
SET status = 'finished', finished_at = clock_timestamp(), running_since = NULL,
    ran = ran + job_seconds_since(running_since)
WHERE type = 'group' AND created_at > clock_timestamp() - interval '30 days'
  AND status = 'running'
  AND CASE WHEN (SELECT sum(descendants_total) = sum(descendants_finished) FROM job_children c
                 WHERE c.job_id = g.id AND c.run = g.run)
      THEN NOT EXISTS (SELECT FROM job j WHERE j.root_id = g.id AND j.status = 'finished'
                       AND NOT j.continued) END
