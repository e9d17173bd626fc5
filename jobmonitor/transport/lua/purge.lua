-- Remove what waits, held or not, and what is due later; what is leased goes on.
--
-- KEYS[1] base
-- ARGV    how many roots at most
-- returns {messages removed, 1 while roots are left}
-- O(roots), O(due) once.
verb('purge', {'allow-oom'}, function(ARGV)
    local left, removed = tonumber(ARGV[1]), redis.call('ZCARD', base .. 'due')
    redis.call('UNLINK', base .. 'due', base .. 'due_messages')
    for _, class in ipairs({NORMAL, LOW}) do
        for _, side in ipairs({'ring', 'fresh'}) do
            local roots = left > 0 and redis.call('ZRANGE', key(class, side), 0, left - 1) or {}
            for _, root in ipairs(roots) do
                removed = removed + empty(class, root)
            end
            left = left - #roots
        end
    end
    local held = left > 0 and redis.call('ZRANGE', base .. 'held', 0, left - 1) or {}
    for _, root in ipairs(held) do
        removed = removed + empty(NORMAL, root) + empty(LOW, root)
        unhold(root)
    end
    left = left - #held
    settle_idle()
    save()
    return {removed, left > 0 and 0 or 1}
end)
