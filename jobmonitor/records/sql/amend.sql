-- amend: keep a message as receivers of before_task_publish left it, unless it was published
-- anew meanwhile. O(1).
UPDATE job_message m SET envelope = %(envelope)s, body = %(body)s
FROM job WHERE job.id = %(id)s AND m.job_id = job.id AND job.dispatch = %(dispatch)s
