-- What jobs log, print and warn, in the order of `id`; `level` is a number of Python's logging.
-- One partition for each day of UTC. What has no day goes to the default one, so that no line is
-- ever refused.
CREATE TABLE job_log (
    id                bigint GENERATED ALWAYS AS IDENTITY,
    job_id            text COLLATE "C" NOT NULL,
    run               integer NOT NULL,
    attempt           integer NOT NULL,
    at                timestamptz NOT NULL,
    level             smallint NOT NULL,
    logger            text NOT NULL,
    message           text NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX job_log_job ON job_log (job_id, id);
CREATE TABLE job_log_default PARTITION OF job_log DEFAULT;

-- Make the partitions of today and of `ahead` days more, where they are missing; how many were
-- made. Safe to run at any time, by many. A partition is made first and attached then, which
-- does not keep others from writing; that has to wait for who reads the default partition, so
-- it gives up after a while. A day that has lines in the default partition stays there.
CREATE FUNCTION job_log_days(ahead integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SET lock_timeout = '3s' AS $$
DECLARE
    today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    day date;
    day_begins timestamptz;
    day_ends timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(1245862, 0);
    FOR day IN SELECT today + number FROM generate_series(0, ahead) AS number LOOP
        partition_name := 'job_log_' || to_char(day, 'YYYYMMDD');
        day_begins := day::timestamp AT TIME ZONE 'UTC';
        day_ends := (day + 1)::timestamp AT TIME ZONE 'UTC';
        CONTINUE WHEN to_regclass(partition_name) IS NOT NULL OR EXISTS (
            SELECT FROM job_log_default WHERE at >= day_begins AND at < day_ends);
        BEGIN
            EXECUTE format('CREATE TABLE %I (LIKE job_log)', partition_name);
            EXECUTE format('ALTER TABLE job_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                           partition_name, day_begins, day_ends);
            made := made + 1;
        EXCEPTION WHEN check_violation OR lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN made;
END $$;

SELECT job_log_days(7);
