-- adopted: note in the audit that a producer that knows nothing of us sent these jobs. O(ids).
INSERT INTO job_event (job_id, event, to_status, reason)
SELECT id, 'adopted', 'pending', 'sent by a producer without jobmonitor; created when it was found'
FROM unnest(%(ids)s::text[]) AS id
