-- end_worker: the worker is gone.
UPDATE worker SET ended_at = coalesce(ended_at, clock_timestamp()) WHERE id = %(id)s
