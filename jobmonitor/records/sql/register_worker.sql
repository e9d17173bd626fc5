-- register_worker: one start of a worker.
INSERT INTO worker (id, node, host, pid, pool, slots, queues, version)
VALUES (%(id)s, %(node)s, %(host)s, %(pid)s, %(pool)s, %(slots)s, %(queues)s, %(version)s)
