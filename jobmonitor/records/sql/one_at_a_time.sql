-- one_at_a_time: operations on the same tree follow each other; held until the caller commits.
SELECT pg_advisory_xact_lock(1245860, hashtext(%(root_id)s))
