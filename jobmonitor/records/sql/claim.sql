-- claim: decide what a delivered message may do, and take the job where it may run.
-- verdict: run · continue (finished, its tail is still owed) · stopped (its holder died while it
-- was stopping) · held (a hold is above) · lost (its holder died too often) · duplicate (a live
-- worker runs it) · mine (this very claim, whose answer was lost) · stale (an older dispatch, or its status lets nothing run).
-- O(1); ancestors are walked only where the root has a hold. No row: there is no such job.
WITH seen AS (
    SELECT job.*, CASE WHEN stoppable OR NOT system
               THEN job_held(root_id, id, parent_id) END AS hold,
           EXISTS (SELECT FROM worker w WHERE w.id = job.worker AND w.ended_at IS NULL
                   AND w.beat_at > clock_timestamp() - make_interval(secs => %(lost_after)s))
               AS alive
    FROM job WHERE id = %(id)s FOR NO KEY UPDATE
), judged AS (
    SELECT *, hold = 'cancel' AND status IN ('pending', 'stopping') AS discards, CASE
        WHEN status IN ('running', 'stopping') AND claimed_as = %(claimed_as)s THEN 'mine'
        WHEN dispatch <> %(dispatch)s THEN 'stale'
        WHEN status = 'pending' AND hold IS NOT NULL THEN 'held'
        WHEN status = 'pending' THEN 'run'
        WHEN status = 'running' AND alive THEN 'duplicate'
        WHEN status = 'running' AND (lost >= %(lost_max)s OR NOT %(rerun)s) THEN 'lost'
        WHEN status = 'running' THEN 'run'
        WHEN status = 'stopping' AND alive THEN 'duplicate'
        WHEN status = 'stopping' THEN 'stopped'
        WHEN status = 'finished' AND NOT continued THEN 'continue'
        ELSE 'stale' END AS verdict
    FROM seen
), taken AS (
    UPDATE job SET
        taken_dispatch = greatest(job.taken_dispatch, %(dispatch)s),
        status = CASE WHEN verdict IN ('held', 'stopped') AND discards THEN 'canceled'
            WHEN verdict IN ('held', 'stopped') THEN 'stopped' WHEN verdict = 'run' THEN 'running'
            WHEN verdict = 'lost' THEN 'finished' ELSE job.status END,
        attempt = job.attempt + (verdict = 'run')::int,
        lost = job.lost + (verdict IN ('run', 'lost') AND judged.status = 'running')::int,
        worker = CASE WHEN verdict IN ('run', 'continue') THEN %(worker)s ELSE job.worker END,
        claimed_as = CASE WHEN verdict = 'run' THEN %(claimed_as)s ELSE job.claimed_as END,
        worker_pid = CASE WHEN verdict IN ('run', 'continue') THEN %(pid)s
            ELSE job.worker_pid END,
        waited = job.waited + CASE WHEN verdict IN ('run', 'held')
            THEN job_seconds_since(job.waiting_since) ELSE 0 END,
        waiting_since = CASE WHEN verdict IN ('run', 'held') THEN NULL
            ELSE job.waiting_since END,
        first_wait = CASE WHEN verdict = 'run' THEN coalesce(job.first_wait,
            job.waited + job_seconds_since(job.waiting_since)) ELSE job.first_wait END,
        ran = job.ran + CASE WHEN verdict IN ('run', 'stopped', 'lost')
            THEN job_seconds_since(job.running_since) ELSE 0 END,
        running_since = CASE verdict WHEN 'run' THEN clock_timestamp()
            WHEN 'stopped' THEN NULL WHEN 'lost' THEN NULL ELSE job.running_since END,
        started_at = CASE WHEN verdict = 'run'
            THEN coalesce(job.started_at, clock_timestamp()) ELSE job.started_at END,
        finished_at = CASE WHEN verdict = 'lost' OR verdict IN ('held', 'stopped') AND discards
            THEN clock_timestamp() ELSE job.finished_at END,
        checkpoint = CASE WHEN verdict IN ('held', 'stopped') AND discards THEN NULL
            ELSE job.checkpoint END,
        pending_because = CASE WHEN verdict IN ('held', 'stopped') AND discards THEN NULL
            ELSE job.pending_because END,
        due_at = CASE WHEN verdict IN ('held', 'stopped') AND discards THEN NULL
            ELSE job.due_at END,
        has_errors = job.has_errors OR verdict = 'lost',
        error = CASE WHEN verdict = 'lost' THEN %(lost_reason)s ELSE job.error END,
        continued = CASE verdict WHEN 'run' THEN NOT %(continues)s WHEN 'lost' THEN true
            ELSE job.continued END,
        system = CASE WHEN verdict = 'run' THEN job.system OR %(system)s ELSE job.system END,
        stoppable = CASE WHEN verdict = 'run' THEN coalesce(%(stoppable)s,
            NOT (job.system OR %(system)s)) ELSE job.stoppable END,
        restartable = CASE WHEN verdict = 'run' THEN %(restartable)s
            ELSE job.restartable END,
        outbox = CASE WHEN verdict = 'run' THEN NULL WHEN verdict = 'lost' THEN 'fail'
            WHEN verdict IN ('held', 'stopped') AND discards THEN 'revoke'
            ELSE job.outbox END
    FROM judged WHERE job.id = judged.id
      AND verdict NOT IN ('duplicate', 'mine')
      AND NOT (verdict = 'stale' AND judged.dispatch <> %(dispatch)s)
    RETURNING job.id, job.run, job.attempt, job.status, judged.status AS was, verdict
), ended AS (
    SELECT j.* FROM judged j
    WHERE verdict = 'lost' OR verdict IN ('held', 'stopped') AND discards
), noted AS (
    INSERT INTO job_event (job_id, event, from_status, to_status, reason)
    SELECT id, CASE verdict WHEN 'held' THEN 'refused' ELSE 'worker lost' END, was, status,
           CASE verdict WHEN 'held' THEN 'stopped together with a job above it'
               ELSE %(lost_reason)s END
    FROM taken WHERE verdict IN ('held', 'stopped', 'lost') OR verdict = 'run' AND was = 'running'
), logged AS (
    INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
    SELECT id, run, attempt, clock_timestamp(), 40, 'jobmonitor.job', %(lost_reason)s FROM taken
    WHERE verdict = 'lost'
)
SELECT verdict, judged.status AS was, judged.hold,
       judged.attempt + (verdict = 'run')::int AS attempt, run, root_id, parent_id, step_of,
       key, label, run_by, judged.system, low_priority, retries,
       coalesce(%(stoppable)s, NOT (judged.system OR %(system)s)) AS stoppable,
       judged.lost + (verdict IN ('run', 'lost') AND judged.status = 'running')::int AS lost,
       checkpoint, progress_done, progress_total, progress_message, judged.outbox, error,
       judged.links_fired, judged.worker AS holder,
       (SELECT outcome FROM job_message m WHERE m.job_id = judged.id
           AND verdict = 'continue') AS outcome,
       (SELECT job_count(e.parent_id, e.parent_run, e.root_id, e.root_run, %(slot)s,
           0, 1, (e.has_errors OR e.verdict = 'lost')::int)::text FROM ended e) AS counted
FROM judged
