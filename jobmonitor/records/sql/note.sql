-- note: an entry in the audit.
INSERT INTO job_event (job_id, event, actor, from_status, to_status, reason)
VALUES (%(id)s, %(event)s, %(actor)s, %(from_status)s, %(to_status)s, %(reason)s)
