-- append_log: what jobs logged, in this order, as long as the attempts are still theirs. `age` is
-- how many seconds ago a line was made: its time is by this clock. Commits asynchronously; the
-- end of the job, which commits synchronously after it, makes it durable. O(lines).
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS mode, clock_timestamp() AS now
)
INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
SELECT line.job_id, line.run, line.attempt, quick.now - make_interval(secs => line.age),
       line.level, line.logger, line.message
FROM quick, unnest(
    %(job_ids)s::text[], %(runs)s::int[], %(attempts)s::int[], %(ages)s::float8[],
    %(levels)s::smallint[], %(loggers)s::text[], %(messages)s::text[]
) WITH ORDINALITY AS line (job_id, run, attempt, age, level, logger, message, number)
JOIN job ON job.id = line.job_id AND job.attempt = line.attempt
ORDER BY line.number
