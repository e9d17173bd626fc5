-- stopped_members: Stopped jobs for which a group may wait, one of each group; where `since` is
-- given, only what was stopped after that event. O(jobs), or O(events since then).
SELECT DISTINCT ON (coalesce(m.envelope::json #>> '{headers,group}', job.id))
       job.id, m.envelope, m.body
FROM job JOIN job_message m ON m.job_id = job.id
WHERE job.status = 'stopped'
  AND (%(since)s::bigint IS NULL OR job.id IN (
      SELECT job_id FROM job_event WHERE id > %(since)s::bigint AND to_status = 'stopped'))
  AND (m.envelope::json #>> '{headers,group}' IS NOT NULL OR position('group_id'::bytea IN m.body) > 0)
