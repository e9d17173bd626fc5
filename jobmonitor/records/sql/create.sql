-- create: the row, its message and its counters, in one statement.
-- Parent, root and what is inherited are taken from the parent's row as it is now; a hold above
-- makes the job be born Stopped, or Canceled; a finished group is open again. No row comes back where the id or the key exists.
-- O(1); ancestors are walked only where the root has a hold.
WITH parent AS (
    SELECT id, parent_id, coalesce(%(parent_run)s::int, run) AS run, root_id, run_by, system,
           low_priority, weight,
           CASE WHEN parent_id IS NULL THEN coalesce(%(parent_run)s::int, run)
                ELSE root_run END AS root_run,
           job_held(root_id, id, parent_id) AS hold
    FROM job WHERE id = %(parent_id)s
), new AS (
    INSERT INTO job (id, type, label, parent_id, parent_run, root_id, root_run, key, step_of,
                     run_by, queue, system, stoppable, restartable, low_priority, weight,
                     status, pending_because, due_at, created_at, waiting_since, finished_at,
                     taken_dispatch, outbox, args, kwargs)
    SELECT %(id)s, %(type)s, %(label)s, p.id, p.run, coalesce(p.root_id, %(id)s),
           coalesce(p.root_run, 1), CASE WHEN p.id IS NOT NULL THEN %(key)s END, %(step_of)s,
           coalesce(%(run_by)s, p.run_by), %(queue)s, coalesce(%(system)s, p.system, false),
           coalesce(%(stoppable)s, NOT coalesce(%(system)s, p.system, false)),
           %(restartable)s::bool, coalesce(%(low_priority)s, p.low_priority, false),
           coalesce(p.weight, %(weight)s::real),
           CASE born.hold WHEN 'stop' THEN 'stopped' WHEN 'cancel' THEN 'canceled'
                ELSE 'pending' END,
           CASE WHEN %(due_at)s::timestamptz > clock_timestamp() THEN 'due' ELSE 'queued' END,
           CASE WHEN born.hold IS DISTINCT FROM 'cancel' THEN %(due_at)s::timestamptz END,
           clock_timestamp(),
           CASE WHEN born.hold IS NULL
                THEN greatest(clock_timestamp(), %(due_at)s::timestamptz) END,
           CASE WHEN born.hold = 'cancel' THEN clock_timestamp() END,
           CASE WHEN born.hold = 'stop' THEN 1 END,
           CASE WHEN born.hold = 'cancel' THEN 'revoke' END,
           %(args)s, %(kwargs)s
    FROM (SELECT) AS one LEFT JOIN parent p ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT coalesce(%(system)s, p.system, false)
                         OR coalesce(%(stoppable)s, false) THEN p.hold END AS hold
    ) AS born
    ON CONFLICT DO NOTHING
    RETURNING id, status, dispatch, low_priority, weight, parent_id, parent_run, root_id,
              root_run, system AND NOT stoppable AND parent_id IS NOT NULL AS unheld
), message AS (
    INSERT INTO job_message (job_id, envelope, body)
    SELECT id, %(envelope)s, %(body)s FROM new
), reopened AS (
    UPDATE job SET status = 'running', finished_at = NULL, running_since = clock_timestamp()
    FROM new WHERE job.id = new.root_id AND job.type = 'group' AND job.status = 'finished'
)
SELECT status, dispatch, low_priority, root_id, weight, unheld,
       job_count(parent_id, parent_run, root_id, root_run, %(slot)s,
                 1, (status = 'canceled')::int, 0)::text AS counted
FROM new
