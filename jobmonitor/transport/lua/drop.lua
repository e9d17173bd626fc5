-- Remove what waits of a root, held or not; what is leased, or due later, is not touched.
--
-- KEYS[1] base
-- ARGV    root
-- returns how many messages that were
-- O(log roots); the memory is freed beside.
verb('drop', {'allow-oom'}, function(ARGV)
    local root, count = ARGV[1], 0
    for _, class in ipairs({NORMAL, LOW}) do
        if first_list(class, root) then count = count + empty(class, root) end
    end
    unhold(root)
    if not is_known(NORMAL, root) then forget(NORMAL, root) end
    settle_idle()
    save()
    return count
end)
