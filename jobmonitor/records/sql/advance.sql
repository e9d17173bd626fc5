-- advance: what a running attempt reports, at most once per progress_interval. The answer says
-- whether a stop is asked; no row: the attempt was fenced out. Commits asynchronously: a crash of
-- Postgres costs at most the last reports. O(1).
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true) AS mode
)
UPDATE job SET
    progress_done = coalesce(%(done)s::float8, progress_done),
    progress_total = CASE WHEN %(has_progress)s THEN %(total)s::float8 ELSE progress_total END,
    progress_message = CASE WHEN %(has_progress)s THEN %(message)s ELSE progress_message END,
    checkpoint = coalesce(%(checkpoint)s::json, checkpoint),
    checkpoint_at = CASE WHEN %(safe)s OR %(checkpoint)s::json IS NOT NULL
        THEN clock_timestamp() ELSE checkpoint_at END,
    has_errors = has_errors OR %(has_errors)s
FROM quick
WHERE id = %(id)s AND attempt = %(attempt)s AND claimed_as = %(claimed_as)s
      AND status IN ('running', 'stopping')
RETURNING status
