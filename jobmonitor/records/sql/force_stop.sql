-- force_stop: what is stopping is Stopped now; its attempt is fenced out, and held, so that what
-- its process still submits is born Stopped. The answer names the worker and process that still
-- run it; where its pool cannot kill, the audit says so. O(ids).
WITH old AS (
    SELECT id, status, worker, worker_pid, job_held(root_id, id, parent_id) AS hold FROM job
    WHERE id = ANY(%(ids)s) AND status = 'stopping' AND (stoppable OR NOT system)
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE job SET
        status = CASE old.hold WHEN 'cancel' THEN 'canceled' ELSE 'stopped' END,
        finished_at = CASE old.hold WHEN 'cancel' THEN clock_timestamp() END,
        outbox = CASE old.hold WHEN 'cancel' THEN 'revoke' ELSE outbox END,
        checkpoint = CASE old.hold WHEN 'cancel' THEN NULL ELSE checkpoint END,
        pending_because = NULL, due_at = NULL,
        ran = ran + job_seconds_since(running_since), running_since = NULL
    FROM old WHERE job.id = old.id
    RETURNING job.*, old.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
    SELECT changed.id, 'force-stop', %(actor)s, was, status, concat_ws('; ', %(reason)s::text,
        'fenced out, not killed: a ' || w.pool || ' pool cannot kill a job')
    FROM changed LEFT JOIN worker w
        ON w.id = changed.worker AND w.ended_at IS NULL AND w.pool <> 'prefork'
    ORDER BY changed.id
), held AS (
    INSERT INTO job_hold AS h (job_id, root_id, operation, held_by)
    SELECT changed.id, root_id, 'stop', %(actor)s FROM changed JOIN old ON old.id = changed.id
    WHERE old.hold IS NULL
    ON CONFLICT (job_id) DO UPDATE SET operation = 'stop', held_by = excluded.held_by
), sums AS (
    SELECT parent_id, parent_run, root_id, root_run, count(*) AS ended,
           count(*) FILTER (WHERE has_errors) AS errors
    FROM changed WHERE status = 'canceled' GROUP BY 1, 2, 3, 4 ORDER BY 1
)
SELECT id, status, worker, worker_pid, attempt,
       (SELECT count(job_count(parent_id, parent_run, root_id, root_run, %(slot)s,
                               0, ended, errors)::text) FROM sums) AS counted
FROM changed
