-- told: Celery knows the end of the job; its message goes. O(1).
WITH done AS (
    UPDATE job SET outbox = NULL WHERE id = %(id)s RETURNING id, status, restartable
)
DELETE FROM job_message m USING done
WHERE m.job_id = done.id AND NOT (done.restartable AND done.status = 'finished')
