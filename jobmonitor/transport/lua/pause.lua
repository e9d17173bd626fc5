-- Let nothing of the queue be taken, or let it be taken again.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), 1 to pause, 0 to go on
-- returns 1 where that changed something
-- O(consumers).
verb('pause', {'allow-oom'}, function(ARGV)
    local now, is_paused = clock(ARGV[1]), ARGV[2] == '1'
    if has(PAUSED) == is_paused then return 0 end
    if is_paused then
        add_trait(PAUSED)
        redis.call('HSET', base .. 'meta', 'paused_at', string.format('%.0f', now))
    else
        end_trait(PAUSED)
        redis.call('HDEL', base .. 'meta', 'paused_at')
        wake(redis.call('ZCARD', base .. 'cons'))
    end
    save()
    return 1
end)
