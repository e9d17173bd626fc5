-- Let the front message of a list of kombu's own Redis transport join the fair order.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), list, the message, 1 where it is known to have been delivered
--         before (then it goes to the front of its root), class, step, root, weight ('' leaves
--         it), due ms ('' for at once), id
-- returns 1 adopted, 0 somebody else has taken it meanwhile
-- Refused when the server is out of memory. O(log roots + log due).
verb('adopt', {'allow-cross-slot-keys'}, function(ARGV)
    local now, list, payload, again = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4] == '1'
    local class, step, root = ARGV[5] == 'low' and LOW or NORMAL, tonumber(ARGV[6]), ARGV[7]
    local weight, due, id = ARGV[8], ARGV[9], ARGV[10]
    if redis.call('LINDEX', list, -1) ~= payload then return 0 end
    if due ~= '' and tonumber(due) > now then
        local kept = later_text(class, weight, step, again and 1 or 0, root, payload)
        redis.call('HSET', base .. 'due_messages', id, kept)
        redis.call('ZADD', base .. 'due', due, id)
    else
        enqueue(class, root, element_of(math.floor(now), again and 1 or 0, 0, payload), step, again)
        set_weight(root, weight)
        wake(1)
    end
    redis.call('RPOP', list)
    save()
    return 1
end)
