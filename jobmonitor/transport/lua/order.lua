-- What the verbs share: the fair order of the roots of one queue.
--
-- Start-time fair queueing (Goyal, Vin, Cheng 1996, section 3) over roots, charged in execution
-- time: the root with the smallest tag is next, its tag grows by time / weight. New roots wait
-- in `fresh`, first come first served; those already served keep a floor of the capacity.
--
-- The keys of a queue begin with `base` and share a hash tag. Their names, what they hold and for
-- how long: keys.py. Times are milliseconds.

local NORMAL, LOW = '', 'low:'
local GUESS, MAX_GUESS, LEAST, NEWEST = 100, 60000, 1, 0.3

local function clock(given)
    if given ~= '' then return tonumber(given) end
    local time = redis.call('TIME')
    return time[1] * 1000 + time[2] / 1000
end

-- meta: read at once, written at once -----------------------------------------------------------

-- The low class stands apart: mostly nothing of it is needed, and each field costs microseconds.
local FIELDS = {'order', 'inflight', 'traits', 'v', 'ring_clock', 'fresh_clock', 'waiting'}
local LOW_FIELDS = {'low:v', 'low:ring_clock', 'low:fresh_clock', 'low:waiting'}

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

-- What few queues have costs the others nothing: one field says what is worth a look.
local WEIGHTED, MARKED, STEPPED, HELD, WITH_LOW, PAUSED = 1, 2, 4, 8, 16, 32

local function has(trait) return bit.band(get('traits'), trait) ~= 0 end

local function add_trait(trait)
    if not has(trait) then set('traits', get('traits') + trait) end
end

local function end_trait(trait)
    if has(trait) then set('traits', get('traits') - trait) end
end

-- roots, in two classes: the prefix of its keys names a class -----------------------------------

local function key(class, name) return base .. class .. name end

-- Of a root, lower steps go first; most have only the first list.
local STEPS = {0, 3, 6, 9}

local function list_of(class, root, step)
    return base .. class .. (step and step > 0 and 'r' .. step .. ':' or 'r:') .. root
end

-- The list whose front is next, nil where the root has nothing that waits.
local function first_list(class, root)
    for _, step in ipairs(STEPS) do
        local list = list_of(class, root, step)
        if redis.call('EXISTS', list) == 1 then return list end
        if not has(STEPPED) then return nil end
    end
end

local function length_of(class, root)
    local length = redis.call('LLEN', list_of(class, root))
    if not has(STEPPED) then return length end
    for _, step in ipairs({3, 6, 9}) do
        length = length + redis.call('LLEN', list_of(class, root, step))
    end
    return length
end

local function is_held(root) return has(HELD) and redis.call('ZSCORE', base .. 'held', root) end

local function unhold(root)
    if not has(HELD) or redis.call('ZREM', base .. 'held', root) == 0 then return false end
    if redis.call('EXISTS', base .. 'held') == 0 then end_trait(HELD) end
    return true
end

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
    return first_list(class, root)
        or redis.call('ZSCORE', key(class, 'park'), root)
        or redis.call('HEXISTS', key(class, 'infl'), root) == 1
end

local function forget(class, root)
    redis.call('ZREM', key(class, 'park'), root)
    if has(WEIGHTED) and not is_known(class == NORMAL and LOW or NORMAL, root) then
        redis.call('HDEL', base .. 'weights', root)
    end
end

-- Only for a root that has messages: the weight goes when the root is forgotten.
local function set_weight(root, weight)
    if tonumber(weight) == 1 then
        redis.call('HDEL', base .. 'weights', root)
    elseif tonumber(weight) then
        redis.call('HSET', base .. 'weights', root, weight)
        add_trait(WEIGHTED)
    end
end

local function drained(class, root, tag)
    if has(MARKED) and not first_list(NORMAL, root) and not first_list(LOW, root) then
        redis.call('DEL', base .. 'marks:' .. root)
    end
    if tag > get(class .. 'v') or redis.call('HEXISTS', key(class, 'infl'), root) == 1 then
        redis.call('ZADD', key(class, 'park'), tag, root)
    else
        forget(class, root)
    end
end

-- Take a root out of ring or fresh: its lists are empty, or go elsewhere.
local function withdraw(class, root)
    local tag = tonumber(redis.call('ZSCORE', key(class, 'ring'), root))
    if tag then
        redis.call('ZREM', key(class, 'ring'), root)
    elseif redis.call('ZREM', key(class, 'fresh'), root) == 1 then
        tag = tonumber(redis.call('HGET', key(class, 'arrived'), root))
        redis.call('HDEL', key(class, 'arrived'), root)
    end
    if class == LOW then redis.call('ZREM', base .. 'since', root) end
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

-- A root that has messages begins to stand in the order; in front where one of them came back.
local function enter(class, root, front)
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

-- Since when a low root waits: that of the message that is next.
local function note_since(root)
    local list = first_list(LOW, root)
    local element = list and redis.call('LINDEX', list, 0)
    if not element then return end
    add_trait(WITH_LOW)
    redis.call('ZADD', base .. 'since', string.match(element, '^%d+'), root)
end

local function enqueue(class, root, element, step, front)
    if step > 0 then add_trait(STEPPED) end
    local stood = has(STEPPED) and first_list(class, root)
    local length = redis.call(front and 'LPUSH' or 'RPUSH', list_of(class, root, step), element)
    if is_held(root) then
        redis.call('HINCRBY', base .. 'meta', 'held', 1)
        return
    end
    count_waiting(class, 1)
    if length == 1 and not stood then enter(class, root, front) end
    if class == LOW and (front or length == 1) then note_since(root) end
end

-- Remove what waits of a root; returns how much that was.
local function empty(class, root)
    local length = length_of(class, root)
    for _, step in ipairs(STEPS) do redis.call('UNLINK', list_of(class, root, step)) end
    redis.call('DEL', base .. 'marks:' .. root)
    if is_held(root) then
        redis.call('HINCRBY', base .. 'meta', 'held', -length)
    else
        count_waiting(class, -length)
    end
    withdraw(class, root)
    return length
end

-- Where nothing waits and nothing runs, the past counts no more.
local function settle_idle()
    if get('inflight') > 0 or get('order') == 0 then return end
    if get('waiting') > 0 or get('low:waiting') > 0 or has(HELD) then return end
    redis.call('DEL', key(NORMAL, 'park'), key(LOW, 'park'), base .. 'weights')
    local is_paused = has(PAUSED)
    for _, fields in ipairs({FIELDS, LOW_FIELDS}) do
        for _, field in ipairs(fields) do
            if get(field) ~= 0 then set(field, 0) end
        end
    end
    if is_paused then add_trait(PAUSED) end
end

-- Tokens only say that a look is worth it; they are at most as many as there are consumers.
local function wake(count)
    local missing = redis.call('ZCARD', base .. 'cons') - redis.call('LLEN', base .. 'wake')
    for _ = 1, math.min(count, missing) do redis.call('RPUSH', base .. 'wake', 1) end
end
