-- Hand what is due later over to a list of kombu's own transport, whose workers keep it in memory.
--
-- KEYS[1] base
-- ARGV    list, how many at most
-- returns how many that were
-- Refused when the server is out of memory. O(messages x log due).
verb('hand_over', {'allow-cross-slot-keys'}, function(ARGV)
    local ids = redis.call('ZRANGE', base .. 'due', 0, tonumber(ARGV[2]) - 1)
    for _, id in ipairs(ids) do
        local later = later_of(redis.call('HGET', base .. 'due_messages', id) or '')
        if later then redis.call('LPUSH', ARGV[1], later.payload) end
        redis.call('ZREM', base .. 'due', id)
        redis.call('HDEL', base .. 'due_messages', id)
    end
    return #ids
end)
