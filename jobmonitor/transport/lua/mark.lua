-- Say what is to become of messages of a root when they are next: it costs no delivery.
--
-- KEYS[1] base
-- ARGV    root, then of each job its id and 'low' (it goes to the low class), 'normal' (not any
--         more), or a number: copies of that dispatch and of earlier ones are dropped
-- returns 1, or 0 where nothing of the root waits
-- O(jobs).
verb('mark', {'allow-oom'}, function(ARGV)
    local root = ARGV[1]
    if not first_list(NORMAL, root) and not first_list(LOW, root) then return 0 end
    local marks = base .. 'marks:' .. root
    for index = 2, #ARGV, 2 do
        if ARGV[index + 1] == 'normal' then
            local before = redis.call('HGET', marks, ARGV[index])
            if before == 'low' then redis.call('HDEL', marks, ARGV[index]) end
        else
            redis.call('HSET', marks, ARGV[index], ARGV[index + 1])
            add_trait(MARKED)
        end
    end
    save()
    return 1
end)
