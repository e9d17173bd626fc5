-- settle: wait until every claim and submission of this root that began before the hold was
-- committed has ended. Claims hold the shared lock for one statement.
SELECT pg_advisory_xact_lock(1245859, hashtext(%(root_id)s))
