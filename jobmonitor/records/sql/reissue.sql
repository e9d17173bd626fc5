-- reissue: a child that is submitted again and has not started: its message may never have been
-- published. The caller publishes before it commits. O(1).
WITH changed AS (
    UPDATE job SET dispatch = dispatch + 1
    WHERE id = %(id)s AND status = 'pending' AND attempt = 0 AND dispatch = %(dispatch)s
      AND pending_because <> 'members'
    RETURNING id, status, dispatch, root_id, weight, low_priority, due_at, attempt
)
SELECT changed.*, envelope, body
FROM changed JOIN job_message m ON m.job_id = changed.id
