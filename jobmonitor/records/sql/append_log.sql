-- append_log: what jobs logged, in this order, as long as the attempts are still theirs. `age` is
-- how many seconds ago a line was made: its time is by this clock. Commits asynchronously; the
-- end of the job, which commits synchronously after it, makes it durable. A line at ERROR or above
-- sets the job's flag with it, so that log and flag agree at every moment. O(lines).
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS mode, clock_timestamp() AS now
), line AS (
    SELECT given.* FROM unnest(
        %(job_ids)s::text[], %(runs)s::int[], %(attempts)s::int[], %(ages)s::float8[],
        %(levels)s::smallint[], %(loggers)s::text[], %(messages)s::text[]
    ) WITH ORDINALITY AS given (job_id, run, attempt, age, level, logger, message, number)
    JOIN job ON job.id = given.job_id AND job.attempt = given.attempt
), flagged AS (
    UPDATE job SET has_errors = true
    WHERE id IN (SELECT job_id FROM line WHERE level >= 40)
      AND status IN ('running', 'stopping') AND NOT has_errors
)
INSERT INTO job_log (job_id, run, attempt, at, level, logger, message)
SELECT line.job_id, line.run, line.attempt, quick.now - make_interval(secs => line.age),
       line.level, line.logger, line.message
FROM quick, line
ORDER BY line.number
