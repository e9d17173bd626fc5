-- What verbs that take and settle have besides order.lua: messages as they are kept, and leases.

-- elements: "<publish ms> <deliveries> <previous lease>\n<payload>" ------------------------------

local function element_of(published, deliveries, previous, payload)
    return string.format('%.0f %d %.0f\n', published, deliveries, previous) .. payload
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

-- The job of a message and the number of its dispatch; 0 where its producer wrote none.
local function job_of(element)
    local _, from = string.find(element, '"id": "', 1, true)
    local upto = from and string.find(element, '"', from + 1, true)
    if not upto then return nil, 0 end
    local _, header = string.find(element, '"jobmonitor": {', upto, true)
    local dispatch = header and string.match(element, '"dispatch": (%d+)', header)
    return string.sub(element, from + 1, upto - 1), tonumber(dispatch) or 0
end

-- What is due later: "<class> <weight> <step> <deliveries> <bytes of the root> <root><payload>".
local function later_text(class, weight, step, deliveries, root, payload)
    local head = string.format(
        '%s %s %d %d %d ', class == LOW and 'low' or 'normal', weight == '' and '-' or weight,
        step, deliveries, #root
    )
    return head .. root .. payload
end

local function later_of(text)
    local class, weight, step, deliveries, length, rest =
        string.match(text, '^(%S+) (%S+) (%d+) (%d+) (%d+) ()')
    if not class then return nil end
    return {
        class = class == 'low' and LOW or NORMAL, weight = weight, step = tonumber(step),
        deliveries = tonumber(deliveries), root = string.sub(text, rest, rest + length - 1),
        payload = string.sub(text, rest + length),
    }
end

-- leases: two fields each in the consumer's hash, m<lease> the element, f<lease> the facts --------

local function leases_of(consumer) return base .. 'c:' .. consumer end

-- Weight and floor are kept as the texts they came as.
local function facts_text(lease)
    local class = lease.class == LOW and 'low' or 'normal'
    return string.format('%.17g %.17g', lease.charged, lease.served) .. ' ' .. lease.weight .. ' '
        .. lease.floor .. ' ' .. lease.side .. ' ' .. class .. ' '
        .. #lease.task .. ' ' .. lease.task .. lease.root
end

local function read_lease(consumer, id)
    local found = redis.call('HGET', leases_of(consumer), 'f' .. id)
    if not found then return nil end
    local charged, served, weight, floor, side, class, length, rest =
        string.match(found, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%d+) ()')
    length = tonumber(length)
    return {
        charged = tonumber(charged), served = tonumber(served), weight = weight, floor = floor,
        side = side,
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

-- What roots received is counted by the minute, for an hour. A guess is charged, but was not
-- received yet. Of more roots in one minute than this only the sum is counted.
local MINUTE, COUNTED_FOR, COUNTED_ROOTS = 60000, 63 * 60000, 5000

local function count_served(now, lease, ms)
    local minute = base .. 'served:' .. string.format('%.0f', math.floor(now / MINUTE))
    local field = 'r' .. lease.root
    local found = redis.call('HMGET', minute, 'total', 'weights', 'roots', field)
    local total, roots = (tonumber(found[1]) or 0) + ms, tonumber(found[3]) or 0
    if found[4] then
        redis.call('HSET', minute, 'total', total, field, tonumber(found[4]) + ms)
    elseif roots < COUNTED_ROOTS then
        local weights = (tonumber(found[2]) or 0) + tonumber(lease.weight)
        redis.call(
            'HSET', minute, 'total', total, 'weights', weights, 'roots', roots + 1, field, ms
        )
    else
        redis.call('HSET', minute, 'total', total)
    end
    if not found[1] then redis.call('PEXPIRE', minute, COUNTED_FOR) end
end

-- Returns the tag of a root that is parked, nil where it stands in the ring.
local function charge(now, lease, elapsed)
    count_served(now, lease, elapsed - lease.served)
    lease.served = elapsed
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
    local kept = redis.call('HGET', leases_of(consumer), 'm' .. id)
    local published, deliveries, _, rest = header_of(kept)
    local payload = string.sub(kept, rest)
    local element = element_of(published, deliveries + 1, id, payload)
    enqueue(lease.class, lease.root, element, 0, true)
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
