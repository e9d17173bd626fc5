-- mark_worker_lost: from now on the claim takes its jobs. It stays in `lost_workers` until
-- `end_worker`, so that a rescue which is cut off is done again.
UPDATE worker SET beat_at = least(beat_at, clock_timestamp() - interval '1 day')
WHERE id = %(id)s AND ended_at IS NULL
