-- last_event: the number of the newest entry of the audit. O(1).
SELECT coalesce(max(id), 0) AS id FROM job_event
