-- Put a message behind the others of its root, or among those that are due later.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), producer, number, again (1 repeats a publish whose reply
--         was lost), class ('normal' or 'low'), step (0, 3, 6: lower
--         ones of a root go first), root, weight ('' leaves it; what is due later
--         brings it when it is due), due ms ('' for at once),
--         id, payload, ms for which the producer's number is remembered
-- returns 1 published, 0 it had been published before
-- Refused when the server is out of memory. O(log roots + log due).
verb('publish', {}, function(ARGV)
    local now, producer, number = clock(ARGV[1]), base .. 'p:' .. ARGV[2], tonumber(ARGV[3])
    local class, step, root = ARGV[5] == 'low' and LOW or NORMAL, tonumber(ARGV[6]), ARGV[7]
    local weight, due, id, payload = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
    if ARGV[4] == '1' and (tonumber(redis.call('GET', producer)) or 0) >= number then return 0 end
    if due ~= '' and tonumber(due) > now then
        local kept = later_text(class, weight, step, 0, root, payload)
        redis.call('HSET', base .. 'due_messages', id, kept)
        redis.call('ZADD', base .. 'due', due, id)
    else
        enqueue(class, root, element_of(math.floor(now), 0, 0, payload), step, false)
        set_weight(root, weight)
        wake(1)
    end
    redis.call('SET', producer, number, 'PX', ARGV[12])
    save()
    return 1
end)
