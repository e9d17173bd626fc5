-- close_groups: groups of the last 30 days whose members are all final, which no end closed.
UPDATE job AS g
SET status = 'finished', finished_at = clock_timestamp(), running_since = NULL,
    ran = ran + job_seconds_since(running_since)
WHERE type = 'group' AND created_at > clock_timestamp() - interval '30 days'
  AND status = 'running'
  AND (SELECT sum(total) = sum(finished) FROM job_children c
       WHERE c.job_id = g.id AND c.run = g.run)
