#!lua flags=allow-oom
-- Remove what waits and what is due later; what is leased goes on.
--
-- KEYS[1] base
-- ARGV    how many roots at most
-- returns {messages removed, 1 while roots are left}
-- O(roots), O(due) once.
-- {order}
local left, removed = tonumber(ARGV[1]), redis.call('ZCARD', base .. 'due')
redis.call('UNLINK', base .. 'due', base .. 'due_messages')
for _, class in ipairs({NORMAL, LOW}) do
    for _, side in ipairs({'ring', 'fresh'}) do
        local roots = left > 0 and redis.call('ZRANGE', key(class, side), 0, left - 1) or {}
        for _, root in ipairs(roots) do
            local length = redis.call('LLEN', list_of(class, root))
            redis.call('UNLINK', list_of(class, root))
            count_waiting(class, -length)
            withdraw(class, root)
            removed = removed + length
        end
        left = left - #roots
    end
end
settle_idle()
save()
return {removed, left > 0 and 0 or 1}
