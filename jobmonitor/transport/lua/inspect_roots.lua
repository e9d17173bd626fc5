-- Read how roots of a queue stand: the first in the order, and others that run or are held.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), how many in the order, and at most beside them; then roots,
--         if only these are asked for
-- returns now, then of each root: its name, normal messages that wait, low ones, leases out, 1
--         where it is held, its weight, its position from 1 on or 0, ms when the message was
--         published that is next, or ''
-- O(roots asked for x log roots).

local SIDES = {{NORMAL, 'fresh'}, {NORMAL, 'ring'}, {LOW, 'fresh'}, {LOW, 'ring'}}
local limit, names, seen

local function add(root)
    if seen[root] then return false end
    seen[root] = true
    names[#names + 1] = root
    return true
end

local function add_first_in_order()
    local left = limit
    for _, side in ipairs(SIDES) do
        local place = key(side[1], side[2])
        local first = left > 0 and redis.call('ZRANGE', place, 0, left - 1) or {}
        for _, root in ipairs(first) do
            if add(root) then left = left - 1 end
        end
    end
end

local function add_others()
    local left = limit
    local function add_some(roots, step)
        for index = 1, #roots, step do
            if left > 0 and add(roots[index]) then left = left - 1 end
        end
    end
    for _, class in ipairs({NORMAL, LOW}) do
        add_some(redis.call('HSCAN', key(class, 'infl'), 0, 'COUNT', limit)[2], 2)
    end
    add_some(redis.call('ZRANGE', base .. 'held', 0, limit - 1), 1)
end

local function position_of(root)
    local before = 0
    for _, side in ipairs(SIDES) do
        local rank = redis.call('ZRANK', key(side[1], side[2]), root)
        if rank then return before + rank + 1 end
        before = before + redis.call('ZCARD', key(side[1], side[2]))
    end
    return 0
end

local function running(class, root)
    return tonumber(redis.call('HGET', key(class, 'infl'), root)) or 0
end

local function published(root)
    local list = first_list(NORMAL, root) or first_list(LOW, root)
    local element = list and redis.call('LINDEX', list, 0)
    local at = element and header_of(element)
    return at and string.format('%.0f', at) or ''
end

verb('inspect_roots', {'no-writes'}, function(ARGV)
    local now = clock(ARGV[1])
    limit, names, seen = tonumber(ARGV[2]), {}, {}
    for index = 3, #ARGV do add(ARGV[index]) end
    if #ARGV < 3 then
        add_first_in_order()
        add_others()
    end
    local found = {string.format('%.17g', now)}
    for _, root in ipairs(names) do
        local facts = {
            root, length_of(NORMAL, root), length_of(LOW, root),
            running(NORMAL, root) + running(LOW, root), is_held(root) and 1 or 0,
            redis.call('HGET', base .. 'weights', root) or '1', position_of(root), published(root),
        }
        for _, fact in ipairs(facts) do found[#found + 1] = fact end
    end
    return found
end)
