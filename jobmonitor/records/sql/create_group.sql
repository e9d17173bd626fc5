-- create_group: the root that stands for a canvas submitted outside a job; never published. O(1).
INSERT INTO job (id, type, label, root_id, root_run, run_by, queue, system, stoppable,
                 restartable, low_priority, weight, status, created_at, started_at, running_since)
VALUES (%(id)s, 'group', %(label)s, %(id)s, 1, %(run_by)s, %(queue)s, %(system)s, true, false,
        %(low_priority)s, %(weight)s, 'running', clock_timestamp(), clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO NOTHING
