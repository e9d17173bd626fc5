-- lost_workers: workers without a beat for lost_after seconds by Postgres' clock that still hold
-- jobs or were not yet marked. O(workers).
SELECT id FROM worker
WHERE ended_at IS NULL
  AND beat_at < clock_timestamp() - make_interval(secs => %(lost_after)s)
