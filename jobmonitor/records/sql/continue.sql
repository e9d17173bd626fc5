-- continue: Celery's tail of a finished job is done (link, chain step, chord part). O(1).
WITH done AS (
    UPDATE job SET continued = true, links_fired = links_fired OR %(fired)s
    WHERE id = %(id)s AND attempt = %(attempt)s AND status = 'finished' AND NOT continued
    RETURNING id, restartable
), unneeded AS (
    DELETE FROM job_message m USING done WHERE m.job_id = done.id AND NOT done.restartable
), kept AS (
    UPDATE job_message m SET outcome = NULL FROM done
    WHERE m.job_id = done.id AND done.restartable
)
SELECT id FROM done
