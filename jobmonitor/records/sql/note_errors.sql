-- note_errors: what a running job reported as errors. O(messages).
INSERT INTO job_event (job_id, event, reason)
SELECT %(id)s, 'error', message FROM unnest(%(messages)s::text[]) AS message
