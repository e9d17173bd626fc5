-- workers_here: the workers of this host that have not ended.
SELECT id, pid FROM worker WHERE host = %(host)s AND ended_at IS NULL
