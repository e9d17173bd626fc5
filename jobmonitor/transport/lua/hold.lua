-- Let nothing of a root be taken until `release`; what is published meanwhile is held, too.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), root
-- returns how many messages wait of it
-- O(log roots).
verb('hold', {'allow-oom'}, function(ARGV)
    local now, root = clock(ARGV[1]), ARGV[2]
    local count = length_of(NORMAL, root) + length_of(LOW, root)
    if count == 0 or is_held(root) then return count end
    for _, class in ipairs({NORMAL, LOW}) do
        local length = length_of(class, root)
        if length > 0 then
            count_waiting(class, -length)
            withdraw(class, root)
        end
    end
    redis.call('ZADD', base .. 'held', now, root)
    redis.call('HINCRBY', base .. 'meta', 'held', count)
    add_trait(HELD)
    save()
    return count
end)
