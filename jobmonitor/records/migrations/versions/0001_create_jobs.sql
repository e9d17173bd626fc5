-- The whole schema of part 1. Times are timestamptz, durations seconds, ids Celery's task ids.

CREATE TABLE job (
    id                text COLLATE "C" PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    type              text NOT NULL,
    label             text,
    -- who it belongs to: written once, at the first insert
    parent_id         text COLLATE "C",
    parent_run        integer,
    root_id           text COLLATE "C" NOT NULL,
    root_run          integer NOT NULL,
    key               text COLLATE "C",
    step_of           text COLLATE "C",
    run_by            text,
    queue             text NOT NULL,
    -- what its task says
    system            boolean NOT NULL,
    stoppable         boolean NOT NULL,
    restartable       boolean NOT NULL,
    low_priority      boolean NOT NULL,
    weight            real NOT NULL DEFAULT 1,
    -- where it stands
    status            text NOT NULL CHECK (status IN
                          ('pending', 'running', 'stopping', 'stopped', 'finished', 'canceled')),
    pending_because   text CHECK (pending_because IN ('queued', 'due', 'retry', 'members')),
    due_at            timestamptz,
    run               integer NOT NULL DEFAULT 1,
    attempt           integer NOT NULL DEFAULT 0,
    dispatch          integer NOT NULL DEFAULT 1,
    taken_dispatch    integer,
    retries           integer NOT NULL DEFAULT 0,
    lost              integer NOT NULL DEFAULT 0,
    continued         boolean NOT NULL DEFAULT true,
    links_fired       boolean NOT NULL DEFAULT false,
    outbox            text CHECK (outbox IN ('revoke', 'fail', 'forget')),
    has_errors        boolean NOT NULL DEFAULT false,
    error             text,
    traceback         text,
    -- times
    created_at        timestamptz NOT NULL,
    waiting_since     timestamptz,
    waited            double precision NOT NULL DEFAULT 0,
    first_wait        double precision,
    started_at        timestamptz,
    running_since     timestamptz,
    ran               double precision NOT NULL DEFAULT 0,
    finished_at       timestamptz,
    -- who runs it
    worker            text,
    worker_pid        integer,
    claimed_as        text,
    -- how far it is
    progress_done     double precision,
    progress_total    double precision,
    progress_message  text,
    checkpoint        json,
    checkpoint_at     timestamptz,
    -- what people may see of it: redacted and cut
    args              text,
    kwargs            text,
    result            text,
    result_is_whole   boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);

-- None of these columns changes after the insert, so that status changes stay in the page (HOT).
CREATE INDEX job_roots ON job (created_at DESC, id DESC) WHERE parent_id IS NULL;
CREATE INDEX job_created ON job (created_at DESC, id DESC);
CREATE INDEX job_of_parent ON job (parent_id, created_at, id) WHERE parent_id IS NOT NULL;
CREATE INDEX job_of_root ON job (root_id);
CREATE UNIQUE INDEX job_key ON job (parent_id, parent_run, key) WHERE key IS NOT NULL;
CREATE INDEX job_groups ON job (created_at) WHERE type = 'group';
CREATE INDEX job_outbox ON job (id) WHERE outbox IS NOT NULL;

-- The whole publishable message, never read by panel or API; gone when the job is final
-- unless it is restartable. `outcome` is what a finished job hands to its continuation.
CREATE TABLE job_message (
    job_id            text COLLATE "C" PRIMARY KEY,
    envelope          text NOT NULL,
    body              bytea NOT NULL,
    outcome           bytea
);

-- Children per (job, run), spread over slots so that no row is hot; summed on read.
CREATE TABLE job_children (
    job_id                   text COLLATE "C" NOT NULL,
    run                      integer NOT NULL,
    slot                     smallint NOT NULL CHECK (slot BETWEEN 0 AND 15),
    total                    bigint NOT NULL DEFAULT 0,
    finished                 bigint NOT NULL DEFAULT 0,
    with_errors              bigint NOT NULL DEFAULT 0,
    descendants_total        bigint NOT NULL DEFAULT 0,
    descendants_finished     bigint NOT NULL DEFAULT 0,
    descendants_with_errors  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, run, slot)
) WITH (fillfactor = 50);

-- Earlier runs of a restarted job.
CREATE TABLE job_run (
    job_id            text COLLATE "C" NOT NULL,
    run               integer NOT NULL,
    started_at        timestamptz,
    finished_at       timestamptz,
    waited            double precision NOT NULL,
    first_wait        double precision,
    ran               double precision NOT NULL,
    attempts          integer NOT NULL,
    retries           integer NOT NULL,
    lost              integer NOT NULL,
    has_errors        boolean NOT NULL,
    error             text,
    traceback         text,
    result            text,
    PRIMARY KEY (job_id, run)
);

-- An operation on a tree: the nearest one above a job decides ('release' lifts one above it).
CREATE TABLE job_hold (
    job_id            text COLLATE "C" PRIMARY KEY,
    root_id           text COLLATE "C" NOT NULL,
    operation         text NOT NULL CHECK (operation IN ('stop', 'cancel', 'release')),
    held_by           text,
    held_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX job_hold_root ON job_hold (root_id);

-- Who did what, and transitions that nobody asked for.
CREATE TABLE job_event (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id            text COLLATE "C" NOT NULL,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    event             text NOT NULL,
    actor             text,
    from_status       text,
    to_status         text,
    reason            text
);
CREATE INDEX job_event_job ON job_event (job_id, id);

-- One row per start of a worker; `id` is its node name and a nonce.
CREATE TABLE worker (
    id                text COLLATE "C" PRIMARY KEY,
    node              text NOT NULL,
    host              text NOT NULL,
    pid               integer NOT NULL,
    pool              text NOT NULL,
    slots             integer NOT NULL,
    queues            text[] NOT NULL,
    version           text NOT NULL,
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    beat_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at          timestamptz
);

-- Bearer tokens of programs; only a hash is kept.
CREATE TABLE api_token (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name              text NOT NULL UNIQUE,
    role              text NOT NULL CHECK (role IN ('viewer', 'operator')),
    digest            bytea NOT NULL UNIQUE,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at      timestamptz,
    revoked_at        timestamptz
);

-- The nearest hold at or above a job: 'stop', 'cancel', or NULL. Its shared lock, kept until
-- the caller commits, is what an operation waits for after it wrote its hold: volatile, so that
-- the read below sees everything that was committed before the lock was granted.
CREATE FUNCTION job_held(the_root text, the_job text, the_parent text) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    node text := the_job;
    up text := the_parent;
    found_operation text;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1245859, hashtext(the_root));
    IF NOT EXISTS (SELECT FROM job_hold WHERE root_id = the_root) THEN
        RETURN NULL;
    END IF;
    LOOP
        SELECT operation INTO found_operation FROM job_hold WHERE job_id = node;
        IF FOUND THEN
            RETURN nullif(found_operation, 'release');
        END IF;
        EXIT WHEN up IS NULL;
        node := up;
        SELECT parent_id INTO up FROM job WHERE id = node;
    END LOOP;
    RETURN NULL;
END $$;

-- Add to the counters of a job's parent and root; nothing for a root. One call per child, or one
-- per (parent, root) with sums.
CREATE FUNCTION job_count(the_parent text, the_parent_run integer, the_root text,
                          the_root_run integer, the_slot integer, more_total bigint,
                          more_finished bigint, more_with_errors bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF the_parent IS NULL THEN
        RETURN;
    END IF;
    -- root first, for everyone: two that change the same counters then never wait in a circle
    INSERT INTO job_children AS c (job_id, run, slot,
        descendants_total, descendants_finished, descendants_with_errors)
    VALUES (the_root, the_root_run, the_slot, more_total, more_finished, more_with_errors)
    ON CONFLICT (job_id, run, slot) DO UPDATE SET
        descendants_total = c.descendants_total + excluded.descendants_total,
        descendants_finished = c.descendants_finished + excluded.descendants_finished,
        descendants_with_errors = c.descendants_with_errors + excluded.descendants_with_errors;
    INSERT INTO job_children AS c (job_id, run, slot, total, finished, with_errors,
        descendants_total, descendants_finished, descendants_with_errors)
    VALUES (the_parent, the_parent_run, the_slot, more_total, more_finished, more_with_errors,
            0, 0, 0)
    ON CONFLICT (job_id, run, slot) DO UPDATE SET
        total = c.total + excluded.total,
        finished = c.finished + excluded.finished,
        with_errors = c.with_errors + excluded.with_errors;
END $$;

-- Seconds that have passed since a moment, never negative; 0 where there is none.
CREATE FUNCTION job_seconds_since(moment timestamptz) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT coalesce(greatest(0, extract(epoch FROM clock_timestamp() - moment)), 0)::float8
$$;
