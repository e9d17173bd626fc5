-- queues_lately: where the newest jobs wait that are pending, though no worker may consume there.
-- O(newest).
SELECT DISTINCT queue
FROM (SELECT queue, status FROM job ORDER BY created_at DESC, id DESC LIMIT %(newest)s) AS newest
WHERE status = 'pending'
