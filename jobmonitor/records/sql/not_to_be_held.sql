-- not_to_be_held: which of these roots nothing holds as a whole: their resume or cancel was cut
-- short before the broker heard of it. O(roots).
SELECT id FROM unnest(%(roots)s::text[]) AS root (id)
WHERE NOT EXISTS (SELECT FROM job_hold h WHERE h.job_id = root.id AND h.operation = 'stop')
   OR EXISTS (SELECT FROM job_hold h WHERE h.root_id = root.id AND h.operation = 'release')
