-- Give a message back to the front of its root; the time it took is charged, nothing is learned.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer, lease, elapsed ms
-- returns 1 given back, 0 the lease was not out any more
-- O(log roots).
verb('requeue', {'allow-oom'}, function(ARGV)
    local now, consumer, id = clock(ARGV[1]), ARGV[2], ARGV[3]
    local lease = read_lease(consumer, id)
    if not lease then return 0 end
    charge(now, lease, math.max(tonumber(ARGV[4]), LEAST))
    put_back(consumer, id, lease)
    wake(1)
    save()
    return 1
end)
