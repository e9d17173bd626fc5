-- What every verb begins with: the fair order of the roots of one queue.
--
-- Start-time fair queueing (Goyal, Vin, Cheng 1996, section 3) over roots, charged in execution
-- time: the root with the smallest tag is next, its tag grows by time / weight. New roots wait
-- in `fresh`, first come first served; those already served keep a floor of the capacity.
--
-- KEYS[1] is the base of all keys of the queue; they share a hash tag. The names of the keys,
-- what they hold and for how long: keys.py. Times are milliseconds.

local base = KEYS[1]
local META, CONSUMERS, EST, WEIGHTS = base .. 'meta', base .. 'cons', base .. 'est', base .. 'weights'
local DUE, DUE_MESSAGES, WAKE = base .. 'due', base .. 'due_messages', base .. 'wake'
local GUESS, MAX_GUESS, LEAST, NEWEST = 100, 60000, 1, 0.3
local FIELDS = {
    'order', 'lease_seq', 'inflight', 'v', 'ring_clock', 'fresh_clock',
    'low:v', 'low:ring_clock', 'low:fresh_clock',
}

local function clock(given)
    if given ~= '' then return tonumber(given) end
    local time = redis.call('TIME')
    return time[1] * 1000 + time[2] / 1000
end

-- meta: read at once, written at once -----------------------------------------------------------

local meta, changed = nil, {}

local function get(field)
    if meta == nil then
        meta = {}
        for index, value in ipairs(redis.call('HMGET', META, unpack(FIELDS))) do
            meta[FIELDS[index]] = tonumber(value) or 0
        end
    end
    return meta[field]
end

local function set(field, value)
    get(field)
    meta[field], changed[field] = value, true
end

local function save()
    local pairs_ = {}
    for field in pairs(changed) do
        pairs_[#pairs_ + 1] = field
        pairs_[#pairs_ + 1] = meta[field]
    end
    if #pairs_ > 0 then redis.call('HSET', META, unpack(pairs_)) end
end

-- classes of roots ------------------------------------------------------------------------------

local function class_of(prefix)
    local class = {prefix = prefix}
    for _, name in ipairs({'ring', 'fresh', 'arrived', 'park', 'infl'}) do
        class[name] = base .. prefix .. name
    end
    return class
end

local NORMAL, LOW = class_of(''), class_of('low:')

local function list_of(class, root) return base .. class.prefix .. 'r:' .. root end

local function next_order()
    set('order', get('order') + 1)
    return get('order')
end

-- Roots with equal tags go on in the order in which they came, not in that of their names.
local function jitter() return (next_order() % 1024) / 1048576 end

local function raise_clock(class, side, other)
    local own, others = class.prefix .. side .. '_clock', class.prefix .. other .. '_clock'
    if get(own) < get(others) then set(own, get(others)) end
end

local function to_fresh(class, root)
    if redis.call('EXISTS', class.fresh) == 0 then raise_clock(class, 'fresh', 'ring') end
    redis.call('ZADD', class.fresh, next_order(), root)
    redis.call('HSET', class.arrived, root, get(class.prefix .. 'v'))
    redis.call('ZREM', class.park, root)
end

local function to_ring(class, root, tag)
    if redis.call('EXISTS', class.ring) == 0 then raise_clock(class, 'ring', 'fresh') end
    redis.call('ZADD', class.ring, tag, root)
    redis.call('ZREM', class.park, root)
end

local function is_known(class, root)
    return redis.call('EXISTS', list_of(class, root)) == 1
        or redis.call('ZSCORE', class.park, root)
        or redis.call('HEXISTS', class.infl, root) == 1
end

local function forget(class, root)
    redis.call('ZREM', class.park, root)
    if redis.call('HEXISTS', WEIGHTS, root) == 1 then
        local other = class == NORMAL and LOW or NORMAL
        if not is_known(other, root) then redis.call('HDEL', WEIGHTS, root) end
    end
end

local function drained(class, root, tag)
    if tag > get(class.prefix .. 'v') or redis.call('HEXISTS', class.infl, root) == 1 then
        redis.call('ZADD', class.park, tag, root)
    else
        forget(class, root)
    end
end

-- Take a root whose list is empty out of ring or fresh.
local function withdraw(class, root)
    local tag = tonumber(redis.call('ZSCORE', class.ring, root))
    if tag then
        redis.call('ZREM', class.ring, root)
    elseif redis.call('ZREM', class.fresh, root) == 1 then
        tag = tonumber(redis.call('HGET', class.arrived, root))
        redis.call('HDEL', class.arrived, root)
    end
    if tag then drained(class, root, tag) end
end

local function enqueue(class, root, element, front)
    local length = redis.call(front and 'LPUSH' or 'RPUSH', list_of(class, root), element)
    redis.call('HINCRBY', META, class.prefix .. 'waiting', 1)
    if length > 1 then return end
    local v = get(class.prefix .. 'v')
    local tag = tonumber(redis.call('ZSCORE', class.park, root))
    local is_idle = redis.call('HEXISTS', class.infl, root) == 0
    if not front and is_idle and (tag == nil or tag <= v) then
        to_fresh(class, root)
    elseif tag and tag > v then
        to_ring(class, root, tag)
    else
        to_ring(class, root, v + jitter())
    end
end

-- Where nothing waits and nothing runs, the past counts no more.
local function settle_idle()
    if get('inflight') > 0 then return end
    if redis.call('EXISTS', NORMAL.ring, NORMAL.fresh, LOW.ring, LOW.fresh) > 0 then return end
    if get('order') == 0 then return end
    redis.call('DEL', NORMAL.park, LOW.park, WEIGHTS)
    for _, field in ipairs(FIELDS) do
        if field ~= 'lease_seq' and get(field) ~= 0 then set(field, 0) end
    end
end

-- elements: "<publish ms> <deliveries> <previous lease>\n<payload>" ------------------------------

local function element_of(published, deliveries, previous, payload)
    return string.format('%.0f %d %d\n', published, deliveries, previous) .. payload
end

local function parts_of(element)
    local published, deliveries, previous, rest = string.match(element, '^(%d+) (%d+) (%d+)\n()')
    return tonumber(published), tonumber(deliveries), tonumber(previous), string.sub(element, rest)
end

local function task_of(payload)
    local _, from = string.find(payload, '"task": "', 1, true)
    local upto = from and string.find(payload, '"', from + 1, true)
    return upto and string.sub(payload, from + 1, upto - 1) or ''
end

-- leases: two fields each in the consumer's hash, m<lease> the element, f<lease> the facts --------

local function leases_of(consumer) return base .. 'c:' .. consumer end

local function facts_text(lease)
    return string.format(
        '%.17g %.17g %.17g %s %s %d ', lease.charged, lease.weight, lease.floor, lease.side,
        lease.class == LOW and 'low' or 'normal', #lease.task
    ) .. lease.task .. lease.root
end

local function read_lease(consumer, id)
    local found = redis.call('HMGET', leases_of(consumer), 'm' .. id, 'f' .. id)
    if not found[2] then return nil end
    local charged, weight, floor, side, class, length, rest =
        string.match(found[2], '^(%S+) (%S+) (%S+) (%S+) (%S+) (%d+) ()')
    length = tonumber(length)
    return {
        element = found[1], charged = tonumber(charged), weight = tonumber(weight),
        floor = tonumber(floor), side = side, class = class == 'low' and LOW or NORMAL,
        task = string.sub(found[2], rest, rest + length - 1),
        root = string.sub(found[2], rest + length),
    }
end

local function add_to_clock(class, side, floor, service)
    local field = class.prefix .. side .. '_clock'
    if side == 'fresh' then
        set(field, get(field) + service / (1 - floor))
    elseif floor > 0 then
        set(field, get(field) + service / floor)
    end
end

local function charge(lease, elapsed)
    local service = elapsed - lease.charged
    local class, amount = lease.class, service / lease.weight
    local place = redis.call('ZSCORE', class.ring, lease.root) and class.ring or class.park
    redis.call('ZINCRBY', place, amount, lease.root)
    add_to_clock(class, lease.side, lease.floor, service)
    lease.charged = elapsed
end

local function end_lease(consumer, id, lease)
    redis.call('HDEL', leases_of(consumer), 'm' .. id, 'f' .. id)
    set('inflight', get('inflight') - 1)
    if redis.call('HINCRBY', lease.class.infl, lease.root, -1) <= 0 then
        redis.call('HDEL', lease.class.infl, lease.root)
        return true
    end
    return false
end

local function put_back(consumer, id, lease)
    end_lease(consumer, id, lease)
    local published, deliveries, _, payload = parts_of(lease.element)
    local element = element_of(published, deliveries + 1, id, payload)
    enqueue(lease.class, lease.root, element, true)
end

-- The leases of a consumer, the highest first: put back in this order the oldest is in front.
local function lease_ids(consumer)
    local ids = {}
    for _, field in ipairs(redis.call('HKEYS', leases_of(consumer))) do
        local id = string.match(field, '^f(%d+)$')
        if id then ids[#ids + 1] = tonumber(id) end
    end
    table.sort(ids, function(one, other) return one > other end)
    return ids
end

-- Tokens only say that a look is worth it; they are at most as many as there are consumers.
local function wake(count)
    local missing = redis.call('ZCARD', CONSUMERS) - redis.call('LLEN', WAKE)
    for _ = 1, math.min(count, missing) do redis.call('RPUSH', WAKE, 1) end
end
