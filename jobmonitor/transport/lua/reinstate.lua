-- Put a message of the quarantine back: it is delivered once more, behind the others of its root.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), name in the quarantine, root where it had none
-- returns 1 put back, 0 there is none of this name
-- Refused when the server is out of memory. O(log quarantined + log roots).
verb('reinstate', {}, function(ARGV)
    local now, id, root = clock(ARGV[1]), ARGV[2], ARGV[3]
    local payload = redis.call('HGET', base .. 'quarantine_messages', id)
    if not payload then return 0 end
    local facts = redis.call('HGET', base .. 'quarantine', id)
    local name, deliveries, length, rest = string.match(facts, '^(%S+) (%d+) (%d+) ()')
    if tonumber(length) > 0 then root = string.sub(facts, rest, rest + length - 1) end
    local element = element_of(math.floor(now), tonumber(deliveries), 0, payload)
    enqueue(name == 'low' and LOW or NORMAL, root, element, 0, false)
    redis.call('HDEL', base .. 'quarantine', id)
    redis.call('HDEL', base .. 'quarantine_messages', id)
    redis.call('ZREM', base .. 'quarantined', id)
    wake(1)
    save()
    return 1
end)
