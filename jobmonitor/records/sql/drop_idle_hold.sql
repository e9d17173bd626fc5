-- drop_idle_hold: a stop that found nothing to stop leaves nothing behind.
DELETE FROM job_hold h
WHERE h.job_id = %(id)s AND h.operation = 'stop' AND NOT EXISTS (
    SELECT FROM job WHERE id = ANY(%(ids)s) AND status IN ('running', 'stopping', 'stopped'))
