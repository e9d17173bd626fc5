-- close_group: a group whose members are all final is finished. O(slots).
UPDATE job AS g
SET status = 'finished', finished_at = clock_timestamp(), running_since = NULL,
    ran = ran + job_seconds_since(running_since)
WHERE id = %(id)s AND type = 'group' AND status = 'running'
  AND (SELECT sum(total) = sum(finished) FROM job_children c
       WHERE c.job_id = g.id AND c.run = g.run)
RETURNING id
