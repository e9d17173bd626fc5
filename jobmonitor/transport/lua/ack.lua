#!lua flags=allow-oom
-- End a lease: charge its root for the time it ran, and learn how long such a task takes.
--
-- KEYS[1] base
-- ARGV    consumer, lease, elapsed ms, class and root of the message
-- returns 1 ended, 0 the lease was not out any more; a copy of the message that waits again
--         because of that is withdrawn: what is acknowledged has run
-- O(log roots).
-- {order}
local consumer, id, elapsed = ARGV[1], ARGV[2], math.max(tonumber(ARGV[3]), LEAST)

local function withdraw_copy(class, root)
    local list = list_of(class, root)
    for _, element in ipairs(redis.call('LRANGE', list, 0, 9)) do
        local _, _, previous = parts_of(element)
        if previous == tonumber(id) then
            redis.call('LREM', list, 1, element)
            redis.call('HINCRBY', META, class.prefix .. 'waiting', -1)
            if redis.call('EXISTS', list) == 0 then withdraw(class, root) end
            return
        end
    end
end

local lease = read_lease(consumer, id)
if not lease then
    withdraw_copy(ARGV[4] == 'low' and LOW or NORMAL, ARGV[5])
    settle_idle()
    save()
    return 0
end
charge(lease, elapsed)
local learned = tonumber(redis.call('HGET', EST, lease.task))
redis.call('HSET', EST, lease.task, learned and learned + NEWEST * (elapsed - learned) or elapsed)
local class, root = lease.class, lease.root
if end_lease(consumer, id, lease) then
    local tag = tonumber(redis.call('ZSCORE', class.park, root))
    if tag and tag <= get(class.prefix .. 'v') then forget(class, root) end
end
settle_idle()
save()
return 1
