-- take_back: undo creates whose publish failed; of those that a worker has nothing comes back.
-- The counters of each parent change once. O(ids + parents).
WITH old AS (
    SELECT id FROM job
    WHERE id = ANY(%(ids)s) AND attempt = 0 AND dispatch = 1 AND status = 'pending'
    ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM job USING old WHERE job.id = old.id
    RETURNING job.id, parent_id, parent_run, root_id, root_run
), message AS (
    DELETE FROM job_message m USING gone WHERE m.job_id = gone.id
), counted AS MATERIALIZED (
    SELECT job_count(parent_id, parent_run, root_id, root_run, %(slot)s, -count(*), 0, 0)::text
           AS done
    FROM gone WHERE parent_id IS NOT NULL
    GROUP BY parent_id, parent_run, root_id, root_run
)
SELECT id, (SELECT max(done) FROM counted) AS counted FROM gone
