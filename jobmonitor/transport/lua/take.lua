#!lua flags=allow-oom
-- Take the next message in the fair order and lease it, in one step.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer ('' takes without a lease), request number (the
--         same again returns the same lease, while it is out), floor (0 to below 1)
-- returns {ms until the next message is due, or -1} or that and
--         lease, class ('normal', 'low'), root, deliveries before this one, task, payload, and
--         the ms that were charged for it
-- O(log roots), and O(log due) for each of at most 100 messages that have become due.
-- {order}
local now, consumer, request, floor = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])

local function answer(id, lease)
    local _, deliveries, _, payload = parts_of(lease.element)
    local class = lease.class == LOW and 'low' or 'normal'
    local charged = string.format('%.17g', lease.charged)
    return {'-1', id, class, lease.root, deliveries, lease.task, payload, charged}
end

local function repeated()
    local last = redis.call('HGET', leases_of(consumer), 'request')
    local number, id = string.match(last or '', '^(%S+) (%d+)$')
    if number ~= request then return nil end
    local lease = read_lease(consumer, id)
    return lease and answer(id, lease)
end

local function release_due()
    local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, 100)
    for _, id in ipairs(ids) do
        local kept = redis.call('HGET', DUE_MESSAGES, id)
        redis.call('ZREM', DUE, id)
        redis.call('HDEL', DUE_MESSAGES, id)
        local name, length, rest = string.match(kept or '', '^(%S+) (%d+) ()')
        if name then
            local root = string.sub(kept, rest, rest + length - 1)
            local payload = string.sub(kept, rest + length)
            local class = name == 'low' and LOW or NORMAL
            enqueue(class, root, element_of(math.floor(now), 0, 0, payload), false)
        end
    end
    if #ids > 1 then wake(#ids - 1) end
end

local function trim(class)
    local v = get(class.prefix .. 'v')
    local roots = redis.call('ZRANGEBYSCORE', class.park, '-inf', v, 'LIMIT', 0, 10)
    for _, root in ipairs(roots) do
        if redis.call('HEXISTS', class.infl, root) == 0 then forget(class, root) end
    end
end

local function side_of(class)
    if redis.call('EXISTS', class.fresh) == 0 then return 'ring' end
    if redis.call('EXISTS', class.ring) == 0 or floor == 0 then return 'fresh' end
    local behind = get(class.prefix .. 'ring_clock') < get(class.prefix .. 'fresh_clock')
    return behind and 'ring' or 'fresh'
end

-- A root whose list is empty stands in the order only after a fail-over lost writes.
local function next_root(class)
    for _ = 1, 100 do
        local side = side_of(class)
        local first = redis.call('ZRANGE', class[side], 0, 0, 'WITHSCORES')
        if not first[1] then return nil end
        local element = redis.call('LPOP', list_of(class, first[1]))
        if element then return first[1], side, tonumber(first[2]), element end
        withdraw(class, first[1])
    end
end

local function serve(class, root, side, score, element)
    redis.call('HINCRBY', META, class.prefix .. 'waiting', -1)
    local _, _, _, payload = parts_of(element)
    local task = task_of(payload)
    local learned = tonumber(redis.call('HGET', EST, task))
    local lease = {
        class = class, root = root, side = side, floor = floor, task = task, element = element,
        charged = math.min(learned or GUESS, MAX_GUESS),
        weight = tonumber(redis.call('HGET', WEIGHTS, root)) or 1,
    }
    local start = score
    if side == 'fresh' then
        start = tonumber(redis.call('HGET', class.arrived, root)) or get(class.prefix .. 'v')
        start = start + jitter()
        redis.call('ZREM', class.fresh, root)
        redis.call('HDEL', class.arrived, root)
    elseif start > get(class.prefix .. 'v') then
        set(class.prefix .. 'v', start)
    end
    return lease, start + lease.charged / lease.weight
end

local function record(lease)
    set('lease_seq', get('lease_seq') + 1)
    set('inflight', get('inflight') + 1)
    local id = string.format('%.0f', get('lease_seq'))
    redis.call('HINCRBY', lease.class.infl, lease.root, 1)
    redis.call(
        'HSET', leases_of(consumer), 'm' .. id, lease.element, 'f' .. id, facts_text(lease),
        'request', request .. ' ' .. id
    )
    redis.call('ZADD', CONSUMERS, 'NX', now, consumer)
    return id
end

local function dispatch(class)
    local root, side, score, element = next_root(class)
    if not root then return nil end
    local lease, tag = serve(class, root, side, score, element)
    add_to_clock(class, side, floor, lease.charged)
    local id = consumer ~= '' and record(lease) or '0'
    if redis.call('EXISTS', list_of(class, root)) == 0 then
        if side == 'ring' then redis.call('ZREM', class.ring, root) end
        drained(class, root, tag)
    elseif side == 'fresh' then
        to_ring(class, root, tag)
    else
        redis.call('ZADD', class.ring, tag, root)
    end
    return answer(id, lease)
end

local before = consumer ~= '' and repeated()
if before then return before end
release_due()
trim(NORMAL)
trim(LOW)
local taken = dispatch(NORMAL) or dispatch(LOW)
settle_idle()
save()
if taken then return taken end
local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
return {first[2] and string.format('%.17g', math.max(tonumber(first[2]) - now, 0)) or '-1'}
