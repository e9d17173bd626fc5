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
local is_new = consumer ~= ''

local function answer(id, lease, element)
    local _, deliveries, _, rest = header_of(element)
    local class = lease.class == LOW and 'low' or 'normal'
    local charged = string.format('%.17g', lease.charged)
    return {'-1', id, class, lease.root, deliveries, lease.task, string.sub(element, rest), charged}
end

local function repeated()
    local last = redis.call('HGET', leases_of(consumer), 'request')
    if not last then return nil end
    is_new = false
    local number, id = string.match(last, '^(%S+) (%d+)$')
    if number ~= request then return nil end
    local lease = read_lease(consumer, id)
    if not lease then return nil end
    redis.call('HDEL', leases_of(consumer), 'missed')  -- by beats before this answer
    return answer(id, lease, redis.call('HGET', leases_of(consumer), 'm' .. id))
end

local function release_due()
    local ids = redis.call('ZRANGEBYSCORE', base .. 'due', '-inf', now, 'LIMIT', 0, 100)
    for _, id in ipairs(ids) do
        local kept = redis.call('HGET', base .. 'due_messages', id)
        local name, weight, length, rest = string.match(kept or '', '^(%S+) (%S+) (%d+) ()')
        if name then
            local root = string.sub(kept, rest, rest + length - 1)
            local payload = string.sub(kept, rest + length)
            local class = name == 'low' and LOW or NORMAL
            enqueue(class, root, element_of(math.floor(now), 0, 0, payload), false)
            set_weight(root, weight)
        end
        redis.call('ZREM', base .. 'due', id)
        redis.call('HDEL', base .. 'due_messages', id)
    end
    if #ids > 1 then wake(#ids - 1) end
end

local function trim(class)
    if redis.call('EXISTS', key(class, 'park')) == 0 then return end
    local roots = redis.call(
        'ZRANGEBYSCORE', key(class, 'park'), '-inf', get(class .. 'v'), 'LIMIT', 0, 10
    )
    for _, root in ipairs(roots) do
        if redis.call('HEXISTS', key(class, 'infl'), root) == 0 then forget(class, root) end
    end
end

local function side_of(class)
    if redis.call('EXISTS', key(class, 'fresh')) == 0 then return 'ring' end
    if floor == 0 or redis.call('EXISTS', key(class, 'ring')) == 0 then return 'fresh' end
    return get(class .. 'ring_clock') < get(class .. 'fresh_clock') and 'ring' or 'fresh'
end

-- A root whose list is empty stands in the order only after a fail-over lost writes.
local function next_root(class)
    for _ = 1, 100 do
        local side = side_of(class)
        local first = redis.call('ZRANGE', key(class, side), 0, 0, 'WITHSCORES')
        if not first[1] then return nil end
        local element = redis.call('LINDEX', list_of(class, first[1]), 0)
        if element then return first[1], side, tonumber(first[2]), element end
        withdraw(class, first[1])
    end
end

local function start_of(class, root, side, score)
    if side == 'ring' then
        if score > get(class .. 'v') then set(class .. 'v', score) end
        return score
    end
    local arrived = tonumber(redis.call('HGET', key(class, 'arrived'), root))
    redis.call('ZREM', key(class, 'fresh'), root)
    redis.call('HDEL', key(class, 'arrived'), root)
    return (arrived or get(class .. 'v')) + jitter()
end

local function guess(task)
    return math.min(tonumber(redis.call('HGET', base .. 'est', task)) or GUESS, MAX_GUESS)
end

local function weight_of(root)
    return get('weighted') == 1 and redis.call('HGET', base .. 'weights', root) or '1'
end

local function record(lease, element)
    set('inflight', get('inflight') + 1)
    local id = string.format('%.0f', redis.call('HINCRBY', base .. 'meta', 'lease_seq', 1))
    redis.call(
        'HSET', leases_of(consumer), 'm' .. id, element, 'f' .. id, facts_text(lease),
        'request', request .. ' ' .. id
    )
    redis.call('HINCRBY', key(lease.class, 'infl'), lease.root, 1)
    if is_new then redis.call('ZADD', base .. 'cons', 'NX', now, consumer) end
    return id
end

local function dispatch(class)
    local root, side, score, element = next_root(class)
    if not root then return nil end
    count_waiting(class, -1)
    local task = task_of(element)
    local lease = {
        class = class, root = root, side = side, floor = ARGV[4], task = task,
        charged = guess(task), weight = weight_of(root),
    }
    local tag = start_of(class, root, side, score) + lease.charged / tonumber(lease.weight)
    add_to_clock(class, side, floor, lease.charged)
    local id = consumer ~= '' and record(lease, element) or '0'
    redis.call('LTRIM', list_of(class, root), 1, -1)  -- once it is leased: an error undoes no write
    if redis.call('EXISTS', list_of(class, root)) == 0 then
        if side == 'ring' then redis.call('ZREM', key(class, 'ring'), root) end
        drained(class, root, tag)
    elseif side == 'fresh' then
        to_ring(class, root, tag)
    else
        redis.call('ZADD', key(class, 'ring'), tag, root)
    end
    return answer(id, lease, element)
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
local first = redis.call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
return {first[2] and string.format('%.17g', math.max(tonumber(first[2]) - now, 0)) or '-1'}
