-- Set a message aside that cannot be delivered: it is kept with the reason, and no worker gets it.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), reason, where it is: 'lease', consumer, lease; or 'list', a
--         list of kombu's own transport, the message at its front; or 'given', the message
-- returns its name in the quarantine, '' where it was not there any more
-- O(log quarantined + log roots).

local now, reason

local function aside(class, root, deliveries, payload)
    local id = 'q' .. redis.call('HINCRBY', base .. 'meta', 'quarantine_seq', 1)
    local facts = string.format('%s %d %d ', class == LOW and 'low' or 'normal', deliveries, #root)
    redis.call('HSET', base .. 'quarantine', id, facts .. root .. reason)
    redis.call('HSET', base .. 'quarantine_messages', id, payload)
    redis.call('ZADD', base .. 'quarantined', now, id)
    return id
end

local function aside_of_list(list, payload)
    if redis.call('LINDEX', list, -1) ~= payload then return '' end
    local id = aside(NORMAL, '', 0, payload)
    redis.call('RPOP', list)
    return id
end

verb('quarantine', {'allow-oom', 'allow-cross-slot-keys'}, function(ARGV)
    now, reason = clock(ARGV[1]), ARGV[2]
    local place = ARGV[3]
    if place == 'given' then return aside(NORMAL, '', 0, ARGV[4]) end
    if place == 'list' then return aside_of_list(ARGV[4], ARGV[5]) end
    local consumer, number = ARGV[4], ARGV[5]
    local lease = read_lease(consumer, number)
    if not lease then return '' end
    local element = redis.call('HGET', leases_of(consumer), 'm' .. number)
    local _, deliveries, _, rest = header_of(element)
    local id = aside(lease.class, lease.root, deliveries, string.sub(element, rest))
    local parked = charge(now, lease, LEAST)
    if end_lease(consumer, number, lease) and parked and parked <= get(lease.class .. 'v') then
        forget(lease.class, lease.root)
    end
    settle_idle()
    save()
    return id
end)
