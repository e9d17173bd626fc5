-- note_taken: the message of this dispatch is consumed, and whoever had it may not write: a resume
-- has to publish again. O(1).
-- The row is locked before it is judged: who publishes again commits only afterwards.
WITH seen AS (
    SELECT id, status, dispatch FROM job WHERE id = %(id)s FOR NO KEY UPDATE
)
UPDATE job SET taken_dispatch = seen.dispatch
FROM seen
WHERE job.id = seen.id AND seen.dispatch = %(dispatch)s::int
  AND seen.status IN ('pending', 'stopped')
