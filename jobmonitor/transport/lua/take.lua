-- Take the next message in the fair order and lease it, in one step.
--
-- A low root is looked at when no normal one waits, more slots are free than the reserve, and no
-- normal message had to wait for some time. One that has waited for too long becomes normal. What
-- `mark` said of a message is done when it is next: it is dropped, or goes to the low class.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer ('' takes without a lease), request number (the
--         same again returns the same lease, while it is out), floor (0 to below 1), then of the
--         low class: reserve in slots ('' an eighth of them), ms of calm, ms that a normal message
--         may wait in the calm, ms until a low root becomes normal ('' never)
-- returns {ms until another look is worth it: a message is due, or the calm is long enough; or -1}
--         or that and
--         lease, class ('normal', 'low'), root, deliveries before this one, task, payload, and
--         the ms that were charged for it
-- O(log roots), and O(log due) for each of at most 100 messages that have become due, O(1) for
-- each of at most 100 that are dropped or moved.

local AT_ONCE = 100
local now, consumer, request, is_new, floor, reserve, calm, patience, longest_low

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
    local ids = redis.call('ZRANGEBYSCORE', base .. 'due', '-inf', now, 'LIMIT', 0, AT_ONCE)
    for _, id in ipairs(ids) do
        local later = later_of(redis.call('HGET', base .. 'due_messages', id) or '')
        if later then
            local element = element_of(math.floor(now), later.deliveries, 0, later.payload)
            enqueue(later.class, later.root, element, later.step, false)
            set_weight(later.root, later.weight)
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
    if tonumber(floor) == 0 or redis.call('EXISTS', key(class, 'ring')) == 0 then return 'fresh' end
    return get(class .. 'ring_clock') < get(class .. 'fresh_clock') and 'ring' or 'fresh'
end

-- Do what was said of the message that is next; returns whether it is that of another now.
local function does_not_stay(class, root, list, element)
    local marks = base .. 'marks:' .. root
    local job, dispatch = job_of(element)
    local mark = job and redis.call('HGET', marks, job)
    if not mark then return false end
    local is_dropped = mark ~= 'low' and dispatch <= tonumber(mark)
    if mark == 'low' and class == LOW then redis.call('HDEL', marks, job) end
    if not is_dropped and (mark ~= 'low' or class == LOW) then return false end
    redis.call('LTRIM', list, 1, -1)
    count_waiting(class, -1)
    redis.call('HDEL', marks, job)
    if mark == 'low' then enqueue(LOW, root, element, 0, false) end
    if not first_list(class, root) then withdraw(class, root) end
    return true
end

-- A root whose list is empty stands in the order only after a fail-over lost writes.
local function next_root(class)
    for _ = 1, AT_ONCE do
        local side = side_of(class)
        local first = redis.call('ZRANGE', key(class, side), 0, 0, 'WITHSCORES')
        if not first[1] then return nil end
        local list = first_list(class, first[1])
        local element = list and redis.call('LINDEX', list, 0)
        if not element then
            withdraw(class, first[1])
        elseif not (has(MARKED) and does_not_stay(class, first[1], list, element)) then
            return first[1], side, tonumber(first[2]), list, element
        end
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
    return has(WEIGHTED) and redis.call('HGET', base .. 'weights', root) or '1'
end

-- Numbers begin with the clock: a queue that was emptied repeats none that is still out.
local function next_lease()
    local number = redis.call('HINCRBY', base .. 'meta', 'lease_seq', 1)
    if number == 1 then
        local clock_us = string.format('%.0f', math.floor(now * 1000))
        number = redis.call('HINCRBY', base .. 'meta', 'lease_seq', clock_us)
    end
    return string.format('%.0f', number)
end

local function record(lease, element)
    set('inflight', get('inflight') + 1)
    local id = next_lease()
    redis.call(
        'HSET', leases_of(consumer), 'm' .. id, element, 'f' .. id, facts_text(lease),
        'request', request .. ' ' .. id
    )
    redis.call('HINCRBY', key(lease.class, 'infl'), lease.root, 1)
    if is_new then redis.call('ZADD', base .. 'cons', 'NX', now, consumer) end
    return id
end

local function dispatch(class)
    local root, side, score, list, element = next_root(class)
    if not root then return nil end
    count_waiting(class, -1)
    local task = task_of(element)
    local lease = {
        class = class, root = root, side = side, floor = floor, task = task,
        charged = guess(task), served = 0, weight = weight_of(root),
    }
    local tag = start_of(class, root, side, score) + lease.charged / tonumber(lease.weight)
    add_to_clock(class, side, tonumber(floor), lease.charged)
    local id = consumer ~= '' and record(lease, element) or '0'
    redis.call('LTRIM', list, 1, -1)  -- once it is leased: an error undoes no write
    if class == LOW then note_since(root) end
    if not first_list(class, root) then
        if class == LOW then redis.call('ZREM', base .. 'since', root) end
        if side == 'ring' then redis.call('ZREM', key(class, 'ring'), root) end
        drained(class, root, tag)
    elseif side == 'fresh' then
        to_ring(class, root, tag)
    else
        redis.call('ZADD', key(class, 'ring'), tag, root)
    end
    if class == NORMAL and now - string.match(element, '^%d+') > patience then
        meta.normal_waited, changed.normal_waited = string.format('%.17g', now), true
    end
    return answer(id, lease, element)
end

-- the low class ---------------------------------------------------------------------------------

local function promote()
    if not longest_low or not has(WITH_LOW) then return end
    local before = string.format('%.17g', now - longest_low)
    local first = redis.call('ZRANGEBYSCORE', base .. 'since', '-inf', before, 'LIMIT', 0, 1)
    if first[1] then move(first[1], LOW, NORMAL, AT_ONCE) end
end

-- Where no slots are known, as before the first beat, none are kept free.
local function is_reserved()
    local values = redis.call('HMGET', base .. 'meta', 'capacity', 'normal_waited')
    local slots = tonumber(values[1]) or 0
    local kept_free = tonumber(reserve) or (slots == 1 and 0 or math.ceil(slots / 8))
    local calm_in = calm - (now - (tonumber(values[2]) or -calm))
    return slots > 0 and slots - get('inflight') <= kept_free, calm_in
end

local function dispatch_low()
    if not has(WITH_LOW) then return nil, -1 end
    if redis.call('EXISTS', base .. 'since') == 0 then
        end_trait(WITH_LOW)
        return nil, -1
    end
    local too_few, calm_in = is_reserved()
    if too_few or calm_in > 0 then return nil, math.max(calm_in, -1) end
    return dispatch(LOW), -1
end

local function next_look(calm_in)
    local first = redis.call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')
    local due_in = first[2] and math.max(tonumber(first[2]) - now, 0) or -1
    if calm_in < 0 or due_in < 0 then return math.max(calm_in, due_in) end
    return math.min(calm_in, due_in)
end

verb('take', {'allow-oom'}, function(ARGV)
    now, consumer, request, floor = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
    reserve, calm, patience = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
    longest_low, is_new = tonumber(ARGV[8]), consumer ~= ''
    local before = consumer ~= '' and repeated()
    if before then return before end
    release_due()
    if has(PAUSED) then
        save()
        return {'-1'}
    end
    trim(NORMAL)
    trim(LOW)
    promote()
    local taken, calm_in = dispatch(NORMAL), -1
    if not taken then taken, calm_in = dispatch_low() end
    settle_idle()
    save()
    return taken or {string.format('%.17g', next_look(calm_in))}
end)
