-- Say that a consumer lives, how much it runs at once and what it holds; give back what nobody
-- holds any more.
--
-- A lease that a live consumer does not hold goes back at its second beat without it: the reply
-- of its take was lost. The leases of a consumer without a beat for `lost_after` go back when
-- two passes have seen that; after a time without passes, as in an outage, none is suspected
-- before everybody had `lost_after` to come back. The server's clock judges, and what is seen of
-- it between two passes: a jump of it is such a time too.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer, lost_after ms, ms between two passes, slots,
--         leases held
-- returns the leases among those held that are not out (any more) for this consumer
-- O(leases of this consumer + log consumers), a pass at most 100 leases more.

local AT_ONCE = 100
local now, consumer, lost_after, pass_every, returned

local function reconcile(held, ids)
    local mine, out = leases_of(consumer), {}
    local missed = {}
    local before = redis.call('HGET', mine, 'missed') or ''
    for id in string.gmatch(before, '%d+') do missed[id] = true end
    local missing = {}
    for _, number in ipairs(lease_ids(consumer)) do
        local id = string.format('%.0f', number)
        out[id] = true
        if not held[id] and missed[id] then
            put_back(consumer, id, read_lease(consumer, id))
            returned = returned + 1
        elseif not held[id] then
            missing[#missing + 1] = id
        end
    end
    if #missing > 0 then
        redis.call('HSET', mine, 'missed', table.concat(missing, ' '))
    else
        redis.call('HDEL', mine, 'missed')
    end
    local lost = {}
    for _, id in ipairs(ids) do
        if not out[id] then lost[#lost + 1] = id end
    end
    return lost
end

local function recover(lost)
    local ids = lease_ids(lost)
    for index = 1, math.min(#ids, AT_ONCE - returned) do
        local id = string.format('%.0f', ids[index])
        put_back(lost, id, read_lease(lost, id))
        returned = returned + 1
        ids[index] = nil
    end
    if next(ids) == nil then forget_consumer(lost) end
end

local function drop_suspects_that_beat(key_of_suspects)
    local suspects = redis.call('HGETALL', key_of_suspects)
    for index = 1, #suspects, 2 do
        local beat = redis.call('ZSCORE', base .. 'cons', suspects[index])
        if tonumber(beat) ~= tonumber(suspects[index + 1]) then
            redis.call('HDEL', key_of_suspects, suspects[index])
        end
    end
end

local function pass()
    local suspects = base .. 'suspects'
    local last = tonumber(redis.call('HGET', base .. 'meta', 'last_pass'))
    if last and now >= last and now - last < pass_every then return end
    redis.call('HSET', base .. 'meta', 'last_pass', now)
    if not last or now < last or now - last > 3 * pass_every then
        redis.call('HSET', base .. 'meta', 'grace', now + lost_after)
        redis.call('DEL', suspects)
        return
    end
    if now < tonumber(redis.call('HGET', base .. 'meta', 'grace')) then return end
    drop_suspects_that_beat(suspects)
    local silent = redis.call(
        'ZRANGEBYSCORE', base .. 'cons', '-inf', '(' .. string.format('%.17g', now - lost_after),
        'WITHSCORES', 'LIMIT', 0, AT_ONCE
    )
    for index = 1, #silent, 2 do
        if redis.call('HEXISTS', suspects, silent[index]) == 1 then
            recover(silent[index])
        else
            redis.call('HSET', suspects, silent[index], silent[index + 1])
        end
    end
end

verb('beat', {'allow-oom'}, function(ARGV)
    now, consumer, returned = clock(ARGV[1]), ARGV[2], 0
    lost_after, pass_every = tonumber(ARGV[3]), tonumber(ARGV[4])
    local held, ids = {}, {}
    for index = 6, #ARGV do
        held[ARGV[index]] = true
        ids[#ids + 1] = ARGV[index]
    end
    redis.call('ZADD', base .. 'cons', now, consumer)
    has_slots(consumer, tonumber(ARGV[5]))
    local lost = reconcile(held, ids)
    pass()
    wake(returned)
    save()
    return lost
end)
