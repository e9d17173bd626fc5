-- Read how a queue stands, as numbers.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), how many roots at each front are looked at for the oldest
-- returns now, waiting, low ones, running, due, held, quarantined, roots of each class that wait,
--         slots, ms when a normal message last had to wait, ms since when the queue is paused, ms
--         when the oldest message was published; '' where there is none
-- O(roots that are looked at).

local function oldest_of(class, side, looked_at)
    local oldest
    for _, root in ipairs(redis.call('ZRANGE', key(class, side), 0, looked_at - 1)) do
        local list = first_list(class, root)
        local element = list and redis.call('LINDEX', list, 0)
        local published = element and header_of(element)
        if published and (not oldest or published < oldest) then oldest = published end
    end
    return oldest
end

local function older(one, other) return one and other and math.min(one, other) or one or other end

local function count(name) return redis.call('ZCARD', base .. name) end

verb('inspect_queue', {'no-writes'}, function(ARGV)
    local now, looked_at = clock(ARGV[1]), tonumber(ARGV[2])
    local fresh, ring = oldest_of(NORMAL, 'fresh', looked_at), oldest_of(NORMAL, 'ring', looked_at)
    local low = redis.call('ZRANGE', base .. 'since', 0, 0, 'WITHSCORES')
    local oldest = older(older(fresh, ring), tonumber(low[2]))
    local more = redis.call(
        'HMGET', base .. 'meta', 'held', 'capacity', 'normal_waited', 'paused_at'
    )
    return {
        string.format('%.17g', now), get('waiting'), get('low:waiting'), get('inflight'),
        count('due'), more[1] or 0, count('quarantined'), count('ring') + count('fresh'),
        count('low:ring') + count('low:fresh'), more[2] or 0, more[3] or '', more[4] or '',
        oldest and string.format('%.0f', oldest) or '',
    }
end)
