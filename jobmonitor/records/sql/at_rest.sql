-- at_rest: what a tree may still publish. The caller has locked it (settle, lock_guarded).
-- O(jobs of the root).
SELECT count(*) FILTER (WHERE (id = root_id OR system AND NOT stoppable)
                        AND status IN ('finished', 'canceled')) AS guarded,
       count(*) FILTER (WHERE status IN ('pending', 'running') AND type <> 'group'
                        OR status = 'finished' AND NOT continued) AS moving,
       count(*) FILTER (WHERE status = 'stopping') AS stopping,
       count(*) FILTER (WHERE status = 'stopped') AS stopped,
       count(*) FILTER (WHERE status = 'pending' AND low_priority <> %(low)s) AS others
FROM job WHERE root_id = %(root_id)s
