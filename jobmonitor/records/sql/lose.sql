-- lose: the process or worker that held a delivery is gone. One row per job that it touches:
-- outcome 'again' (publish it, with dispatch + 1), 'stopped', 'canceled', 'failed' (the cap, or
-- its task must not run twice), 'tail' (finished, its continuation is owed). Fenced by worker and
-- process, so that a job which is held by somebody else is left alone.
-- Not counted as lost where nothing had started or the worker was shut down; of what was stopped
-- meanwhile it is only noted that its message is gone. O(1) by id.
WITH old AS (
    SELECT job.*, CASE WHEN stoppable OR NOT system
               THEN job_held(root_id, id, parent_id) END AS hold FROM job
    WHERE id = %(id)s
      AND (status IN ('running', 'stopping') AND worker = %(worker)s
               AND (%(pid)s::int IS NULL OR worker_pid = %(pid)s::int)
           OR status = 'finished' AND NOT continued AND worker = %(worker)s
           OR status IN ('pending', 'stopped') AND dispatch = %(dispatch)s::int)
    FOR NO KEY UPDATE
), judged AS (
    SELECT *, CASE
        WHEN status = 'stopped' THEN 'stopped'
        WHEN status <> 'finished' AND hold = 'cancel' THEN 'canceled'
        WHEN status = 'pending' AND hold IS NOT NULL THEN 'stopped'
        WHEN status = 'pending' THEN 'again'
        WHEN status = 'finished' THEN 'tail'
        WHEN status = 'stopping' THEN 'stopped'
        WHEN %(counts)s AND lost >= %(lost_max)s OR NOT %(rerun)s THEN 'failed'
        ELSE 'again' END AS outcome
    FROM old
), changed AS (
    UPDATE job SET
        status = CASE outcome WHEN 'again' THEN 'pending' WHEN 'failed' THEN 'finished'
            WHEN 'tail' THEN 'finished' ELSE outcome END,
        dispatch = job.dispatch + (outcome IN ('again', 'tail'))::int,
        taken_dispatch = CASE WHEN outcome = 'stopped' THEN job.dispatch
            ELSE job.taken_dispatch END,
        lost = job.lost + (judged.status = 'running' AND %(counts)s)::int,
        pending_because = CASE
            WHEN judged.status = 'stopped' OR judged.status = 'pending' AND outcome <> 'canceled'
            THEN job.pending_because WHEN outcome <> 'again' THEN NULL
            WHEN job.lost > 0 AND %(counts)s THEN 'retry' ELSE 'queued' END,
        due_at = CASE
            WHEN judged.status = 'stopped' OR judged.status = 'pending' AND outcome <> 'canceled'
            THEN job.due_at WHEN outcome <> 'again' THEN NULL
            WHEN NOT %(counts)s THEN NULL
            WHEN job.lost = 1 THEN clock_timestamp() + interval '30 s'
            WHEN job.lost >= 2 THEN clock_timestamp() + interval '5 min' END,
        waiting_since = CASE WHEN outcome <> 'again' THEN NULL
            WHEN judged.status = 'pending' THEN job.waiting_since
            WHEN NOT %(counts)s THEN clock_timestamp()
            WHEN job.lost = 1 THEN clock_timestamp() + interval '30 s'
            WHEN job.lost >= 2 THEN clock_timestamp() + interval '5 min'
            ELSE clock_timestamp() END,
        waited = job.waited + CASE WHEN judged.status = 'pending' AND outcome <> 'again'
            THEN job_seconds_since(job.waiting_since) ELSE 0 END,
        checkpoint = CASE WHEN outcome = 'canceled' THEN NULL ELSE job.checkpoint END,
        ran = job.ran + job_seconds_since(job.running_since), running_since = NULL,
        finished_at = CASE WHEN outcome IN ('failed', 'canceled') THEN clock_timestamp()
            ELSE job.finished_at END,
        continued = CASE WHEN outcome = 'failed' THEN true ELSE job.continued END,
        has_errors = job.has_errors OR outcome = 'failed',
        error = CASE WHEN outcome = 'failed' THEN %(reason)s ELSE job.error END,
        outbox = CASE outcome WHEN 'failed' THEN 'fail' WHEN 'canceled' THEN 'revoke'
            ELSE job.outbox END
    FROM judged WHERE job.id = judged.id
    RETURNING job.*, outcome, judged.status AS was
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, CASE WHEN %(counts)s THEN 'worker lost' ELSE 'worker shut down' END, was, status,
           %(reason)s
    FROM changed WHERE outcome <> 'tail' AND was <> 'stopped'
), logged AS (
    INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
    SELECT id, run, attempt, clock_timestamp(), 40, 'jobmonitor.job', %(reason)s FROM changed
    WHERE outcome = 'failed'
)
SELECT id, root_id, weight, outcome, status, dispatch, low_priority, due_at, attempt,
       outcome = 'tail' OR system AND NOT stoppable AND parent_id IS NOT NULL AS unheld,
       (SELECT envelope FROM job_message m WHERE m.job_id = changed.id) AS envelope,
       (SELECT body FROM job_message m WHERE m.job_id = changed.id) AS body,
       job_count(parent_id, parent_run, root_id, root_run, %(slot)s, 0,
           (outcome IN ('failed', 'canceled'))::int,
           (outcome IN ('failed', 'canceled') AND has_errors)::int)::text AS counted
FROM changed
