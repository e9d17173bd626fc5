-- note_taken: the message of this dispatch is consumed, and whoever had it may not write: a resume
-- has to publish again. O(1).
UPDATE job SET taken_dispatch = dispatch
WHERE id = %(id)s AND dispatch = %(dispatch)s::int AND status IN ('pending', 'stopped')
