-- create_many: what `create` does, for many jobs at once; `jobs` is a JSON array of objects with
-- its parameters, the body in base64. One row per job that is new: of the others the id or the
-- key exists. Each parent is looked up once, its counters change once. O(jobs + parents).
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(jobs)s::json) AS job (
        position integer, id text, type text, label text, parent_id text, parent_run integer,
        key text, step_of text, run_by text, queue text, system boolean, stoppable boolean,
        restartable boolean, low_priority boolean, weight real, due_at timestamptz, args text,
        kwargs text, envelope text, body text)
), wanted AS (
    SELECT DISTINCT parent_id, parent_run FROM input WHERE parent_id IS NOT NULL
), parent AS MATERIALIZED (
    SELECT job.id, job.parent_id, wanted.parent_run AS asked_run,
           coalesce(wanted.parent_run, run) AS run, root_id, run_by, system, low_priority,
           weight,
           CASE WHEN job.parent_id IS NULL THEN coalesce(wanted.parent_run, run)
                ELSE root_run END AS root_run,
           job_held(root_id, job.id, job.parent_id) AS hold
    FROM wanted JOIN job ON job.id = wanted.parent_id
), new AS (
    INSERT INTO job (id, type, label, parent_id, parent_run, root_id, root_run, key, step_of,
                     run_by, queue, system, stoppable, restartable, low_priority, weight,
                     status, pending_because, due_at, created_at, waiting_since, finished_at,
                     taken_dispatch, outbox, args, kwargs)
    SELECT i.id, i.type, i.label, p.id, p.run, coalesce(p.root_id, i.id),
           coalesce(p.root_run, 1), CASE WHEN p.id IS NOT NULL THEN i.key END, i.step_of,
           coalesce(i.run_by, p.run_by), i.queue, coalesce(i.system, p.system, false),
           coalesce(i.stoppable, NOT coalesce(i.system, p.system, false)),
           i.restartable, coalesce(i.low_priority, p.low_priority, false),
           coalesce(p.weight, i.weight),
           CASE born.hold WHEN 'stop' THEN 'stopped' WHEN 'cancel' THEN 'canceled'
                ELSE 'pending' END,
           CASE WHEN i.due_at > clock_timestamp() THEN 'due' ELSE 'queued' END,
           CASE WHEN born.hold IS DISTINCT FROM 'cancel' THEN i.due_at END,
           statement_timestamp() + i.position * interval '1 microsecond',
           CASE WHEN born.hold IS NULL THEN greatest(clock_timestamp(), i.due_at) END,
           CASE WHEN born.hold = 'cancel' THEN clock_timestamp() END,
           CASE WHEN born.hold = 'stop' THEN 1 END,
           CASE WHEN born.hold = 'cancel' THEN 'revoke' END,
           i.args, i.kwargs
    FROM input i
    LEFT JOIN parent p ON p.id = i.parent_id AND p.asked_run IS NOT DISTINCT FROM i.parent_run
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT coalesce(i.system, p.system, false)
                         OR coalesce(i.stoppable, false) THEN p.hold END AS hold
    ) AS born
    ORDER BY i.id  -- one order for everyone: two with the same ids never wait in a circle
    ON CONFLICT DO NOTHING
    RETURNING id, status, dispatch, low_priority, weight, parent_id, parent_run, root_id,
              root_run, system AND NOT stoppable AND parent_id IS NOT NULL AS unheld
), message AS (
    INSERT INTO job_message (job_id, envelope, body)
    SELECT i.id, i.envelope, decode(i.body, 'base64') FROM input i JOIN new ON new.id = i.id
), reopened AS (
    UPDATE job SET status = 'running', finished_at = NULL, running_since = clock_timestamp()
    WHERE id IN (SELECT root_id FROM new) AND type = 'group' AND status = 'finished'
), counted AS MATERIALIZED (
    SELECT job_count(parent_id, parent_run, root_id, root_run, %(slot)s, count(*),
                     count(*) FILTER (WHERE status = 'canceled'), 0)::text AS done
    FROM new WHERE parent_id IS NOT NULL
    GROUP BY parent_id, parent_run, root_id, root_run
)
SELECT id, status, dispatch, low_priority, root_id, weight, unheld,
       (SELECT max(done) FROM counted) AS counted
FROM new
