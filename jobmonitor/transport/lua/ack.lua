-- End a lease: charge its root for the time it ran, and learn how long such a task takes.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer, lease, elapsed ms, class and root of the message
-- returns 1 ended, 0 the lease was not out any more; a copy of the message that waits again
--         because of that is withdrawn: what is acknowledged has run
-- O(log roots).

local function withdraw_copy(class, root, id)
    local list = list_of(class, root, 0)
    for _, element in ipairs(redis.call('LRANGE', list, 0, 9)) do
        local _, _, previous = header_of(element)
        if previous == tonumber(id) then
            redis.call('LREM', list, 1, element)
            if is_held(root) then
                redis.call('HINCRBY', base .. 'meta', 'held', -1)
                if length_of(NORMAL, root) + length_of(LOW, root) == 0 then unhold(root) end
            else
                count_waiting(class, -1)
            end
            if not first_list(class, root) then withdraw(class, root) end
            return
        end
    end
end

local function learn(task, elapsed)
    local before = tonumber(redis.call('HGET', base .. 'est', task))
    local now = before and before + NEWEST * (elapsed - before) or elapsed
    redis.call('HSET', base .. 'est', task, now)
end

verb('ack', {'allow-oom'}, function(ARGV)
    local consumer, id, elapsed = ARGV[2], ARGV[3], math.max(tonumber(ARGV[4]), LEAST)
    local lease = read_lease(consumer, id)
    if lease then
        local parked = charge(clock(ARGV[1]), lease, elapsed)
        learn(lease.task, elapsed)
        local is_idle = end_lease(consumer, id, lease)
        if is_idle and parked and parked <= get(lease.class .. 'v') then
            forget(lease.class, lease.root)
        end
    else
        withdraw_copy(ARGV[5] == 'low' and LOW or NORMAL, ARGV[6], id)
    end
    if has(WITH_LOW) then wake(1) end  -- a slot is free: the gate may be open now
    settle_idle()
    save()
    return lease and 1 or 0
end)
