-- give_up: the messages of these Stopped jobs are to be dropped, so a resume has to publish them
-- again. Those that are due later stay. O(ids).
UPDATE job SET taken_dispatch = dispatch
WHERE id = ANY(%(ids)s) AND status = 'stopped'
  AND (due_at IS NULL OR due_at <= clock_timestamp())
  AND coalesce(taken_dispatch < dispatch, true)
RETURNING id, queue, dispatch
