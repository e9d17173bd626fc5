-- elect: one rescuer at a time, until the caller's transaction ends.
SELECT pg_try_advisory_xact_lock(1245861, 0) AS elected
