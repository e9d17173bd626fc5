-- Give a message back until later: it was not begun, and waits among those that are due then.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer, lease, ms from now
-- returns 1 given back, 0 the lease was not out any more
-- O(log due + log roots).
verb('defer', {'allow-oom'}, function(ARGV)
    local now, consumer, id = clock(ARGV[1]), ARGV[2], ARGV[3]
    local lease = read_lease(consumer, id)
    if not lease then return 0 end
    local element = redis.call('HGET', leases_of(consumer), 'm' .. id)
    local _, deliveries, _, rest = header_of(element)
    charge(now, lease, LEAST)
    local payload = string.sub(element, rest)
    local kept = later_text(lease.class, '', 0, deliveries, lease.root, payload)
    redis.call('HSET', base .. 'due_messages', 'lease:' .. id, kept)
    redis.call('ZADD', base .. 'due', now + tonumber(ARGV[4]), 'lease:' .. id)
    end_lease(consumer, id, lease)
    save()
    return 1
end)
