-- What every verb begins with: the fair order of the roots of one queue.
--
-- Start-time fair queueing (Goyal, Vin, Cheng 1996, section 3) over roots, charged in execution
-- time: the root with the smallest tag is next, its tag grows by time / weight. New roots wait
-- in `fresh`, first come first served; those already served keep a floor of the capacity.
--
-- KEYS[1] is the base of all keys of the queue; they share a hash tag. The names of the keys,
-- what they hold and for how long: keys.py. Times are milliseconds.

local base = KEYS[1]
local NORMAL, LOW = '', 'low:'
local GUESS, MAX_GUESS, LEAST, NEWEST = 100, 60000, 1, 0.3

local function clock(given)
    if given ~= '' then return tonumber(given) end
    local time = redis.call('TIME')
    return time[1] * 1000 + time[2] / 1000
end

-- meta: read at once, written at once -----------------------------------------------------------

-- The low class stands apart: mostly nothing of it is needed, and each field costs microseconds.
local FIELDS = {'order', 'inflight', 'weighted', 'v', 'ring_clock', 'fresh_clock', 'waiting'}
local LOW_FIELDS = {'low:v', 'low:ring_clock', 'low:fresh_clock', 'low:waiting'}
local meta, changed = {}, {}

local function read(fields)
    local values = redis.call('HMGET', base .. 'meta', unpack(fields))
    for index = 1, #fields do meta[fields[index]] = tonumber(values[index]) or 0 end
end

local function get(field)
    if not meta[field] then
        read(string.sub(field, 1, 4) == LOW and LOW_FIELDS or FIELDS)
    end
    return meta[field]
end

local function set(field, value)
    get(field)
    meta[field] = value
    changed[field] = true
end

-- What was set a thousand times is written once: unpack takes no more than some thousand values.
local function save()
    local values = {}
    for field in pairs(changed) do
        values[#values + 1] = field
        values[#values + 1] = meta[field]
    end
    if #values > 0 then redis.call('HSET', base .. 'meta', unpack(values)) end
end

-- roots, in two classes: the prefix of its keys names a class -----------------------------------

local function key(class, name) return base .. class .. name end

local function list_of(class, root) return base .. class .. 'r:' .. root end

local function next_order()
    set('order', get('order') + 1)
    return get('order')
end

-- Roots with equal tags go on in the order in which they came, not in that of their names.
local function jitter() return (next_order() % 1024) / 1048576 end

local function raise_clock(class, side, other)
    local own, others = class .. side .. '_clock', class .. other .. '_clock'
    if get(own) < get(others) then set(own, get(others)) end
end

local function to_fresh(class, root)
    if redis.call('EXISTS', key(class, 'fresh')) == 0 then raise_clock(class, 'fresh', 'ring') end
    redis.call('ZADD', key(class, 'fresh'), next_order(), root)
    redis.call('HSET', key(class, 'arrived'), root, get(class .. 'v'))
    redis.call('ZREM', key(class, 'park'), root)
end

local function to_ring(class, root, tag)
    if redis.call('EXISTS', key(class, 'ring')) == 0 then raise_clock(class, 'ring', 'fresh') end
    redis.call('ZADD', key(class, 'ring'), tag, root)
    redis.call('ZREM', key(class, 'park'), root)
end

local function is_known(class, root)
    return redis.call('EXISTS', list_of(class, root)) == 1
        or redis.call('ZSCORE', key(class, 'park'), root)
        or redis.call('HEXISTS', key(class, 'infl'), root) == 1
end

local function forget(class, root)
    redis.call('ZREM', key(class, 'park'), root)
    if get('weighted') == 1 and not is_known(class == NORMAL and LOW or NORMAL, root) then
        redis.call('HDEL', base .. 'weights', root)
    end
end

-- Only for a root that has messages: the weight goes when the root is forgotten.
local function set_weight(root, weight)
    if tonumber(weight) == 1 then
        redis.call('HDEL', base .. 'weights', root)
    elseif tonumber(weight) then
        redis.call('HSET', base .. 'weights', root, weight)
        set('weighted', 1)
    end
end

local function drained(class, root, tag)
    if tag > get(class .. 'v') or redis.call('HEXISTS', key(class, 'infl'), root) == 1 then
        redis.call('ZADD', key(class, 'park'), tag, root)
    else
        forget(class, root)
    end
end

-- Take a root whose list is empty out of ring or fresh.
local function withdraw(class, root)
    local tag = tonumber(redis.call('ZSCORE', key(class, 'ring'), root))
    if tag then
        redis.call('ZREM', key(class, 'ring'), root)
    elseif redis.call('ZREM', key(class, 'fresh'), root) == 1 then
        tag = tonumber(redis.call('HGET', key(class, 'arrived'), root))
        redis.call('HDEL', key(class, 'arrived'), root)
    end
    if tag then drained(class, root, tag) end
end

local function count_waiting(class, change)
    local field = class .. 'waiting'
    if meta[field] then
        set(field, meta[field] + change)
    else
        redis.call('HINCRBY', base .. 'meta', field, change)
    end
end

local function enqueue(class, root, element, front)
    local length = redis.call(front and 'LPUSH' or 'RPUSH', list_of(class, root), element)
    count_waiting(class, 1)
    if length > 1 then return end
    local v = get(class .. 'v')
    local tag = tonumber(redis.call('ZSCORE', key(class, 'park'), root))
    local is_idle = redis.call('HEXISTS', key(class, 'infl'), root) == 0
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
    if get('inflight') > 0 or get('order') == 0 then return end
    if get('waiting') > 0 or get('low:waiting') > 0 then return end
    redis.call('DEL', key(NORMAL, 'park'), key(LOW, 'park'), base .. 'weights')
    for _, fields in ipairs({FIELDS, LOW_FIELDS}) do
        for _, field in ipairs(fields) do
            if get(field) ~= 0 then set(field, 0) end
        end
    end
end

-- elements: "<publish ms> <deliveries> <previous lease>\n<payload>" ------------------------------

local function element_of(published, deliveries, previous, payload)
    return string.format('%.0f %d %d\n', published, deliveries, previous) .. payload
end

-- published, deliveries, previous lease, where the payload begins
local function header_of(element)
    local published, deliveries, previous, rest = string.match(element, '^(%d+) (%d+) (%d+)\n()')
    return tonumber(published), tonumber(deliveries), tonumber(previous), rest
end

local function task_of(element)
    local _, from = string.find(element, '"task": "', 1, true)
    local upto = from and string.find(element, '"', from + 1, true)
    return upto and string.sub(element, from + 1, upto - 1) or ''
end

-- leases: two fields each in the consumer's hash, m<lease> the element, f<lease> the facts --------

local function leases_of(consumer) return base .. 'c:' .. consumer end

-- Weight and floor are kept as the texts they came as.
local function facts_text(lease)
    local class = lease.class == LOW and 'low' or 'normal'
    return string.format('%.17g', lease.charged) .. ' ' .. lease.weight .. ' ' .. lease.floor
        .. ' ' .. lease.side .. ' ' .. class .. ' ' .. #lease.task .. ' ' .. lease.task .. lease.root
end

local function read_lease(consumer, id)
    local found = redis.call('HGET', leases_of(consumer), 'f' .. id)
    if not found then return nil end
    local charged, weight, floor, side, class, length, rest =
        string.match(found, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%d+) ()')
    length = tonumber(length)
    return {
        charged = tonumber(charged), weight = weight, floor = floor, side = side,
        class = class == 'low' and LOW or NORMAL,
        task = string.sub(found, rest, rest + length - 1), root = string.sub(found, rest + length),
    }
end

local function add_to_clock(class, side, floor, service)
    local field = class .. side .. '_clock'
    if side == 'fresh' then
        set(field, get(field) + service / (1 - floor))
    elseif floor > 0 then
        set(field, get(field) + service / floor)
    end
end

-- Returns the tag of a root that is parked, nil where it stands in the ring.
local function charge(lease, elapsed)
    local service = elapsed - lease.charged
    local class, amount = lease.class, service / tonumber(lease.weight)
    add_to_clock(class, lease.side, tonumber(lease.floor), service)
    lease.charged = elapsed
    if redis.call('ZSCORE', key(class, 'ring'), lease.root) then
        redis.call('ZINCRBY', key(class, 'ring'), amount, lease.root)
        return nil
    end
    return tonumber(redis.call('ZINCRBY', key(class, 'park'), amount, lease.root))
end

-- Returns whether nothing of the root is out any more.
local function end_lease(consumer, id, lease)
    redis.call('HDEL', leases_of(consumer), 'm' .. id, 'f' .. id)
    set('inflight', get('inflight') - 1)
    local count = redis.call('HINCRBY', key(lease.class, 'infl'), lease.root, -1)
    if count <= 0 then redis.call('HDEL', key(lease.class, 'infl'), lease.root) end
    return count <= 0
end

local function put_back(consumer, id, lease)
    local element = redis.call('HGET', leases_of(consumer), 'm' .. id)
    local published, deliveries, _, rest = header_of(element)
    local payload = string.sub(element, rest)
    enqueue(lease.class, lease.root, element_of(published, deliveries + 1, id, payload), true)
    end_lease(consumer, id, lease)
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

local function has_slots(consumer, count)
    local before = tonumber(redis.call('HGET', base .. 'slots', consumer)) or 0
    if count == before then return end
    redis.call('HINCRBY', base .. 'meta', 'capacity', count - before)
    if count == 0 then
        redis.call('HDEL', base .. 'slots', consumer)
    else
        redis.call('HSET', base .. 'slots', consumer, count)
    end
end

local function forget_consumer(consumer)
    has_slots(consumer, 0)
    redis.call('DEL', leases_of(consumer))
    redis.call('ZREM', base .. 'cons', consumer)
    redis.call('HDEL', base .. 'suspects', consumer)
end

-- Tokens only say that a look is worth it; they are at most as many as there are consumers.
local function wake(count)
    local missing = redis.call('ZCARD', base .. 'cons') - redis.call('LLEN', base .. 'wake')
    for _ = 1, math.min(count, missing) do redis.call('RPUSH', base .. 'wake', 1) end
end
