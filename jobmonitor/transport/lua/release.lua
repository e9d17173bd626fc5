-- Let what `hold` held be taken again: its root goes on at its tag.
--
-- KEYS[1] base
-- ARGV    root
-- returns how many messages wait of it that were held
-- O(log roots).
verb('release', {'allow-oom'}, function(ARGV)
    local root, count = ARGV[1], 0
    if not unhold(root) then return 0 end
    for _, class in ipairs({NORMAL, LOW}) do
        local length = length_of(class, root)
        if length > 0 then
            count_waiting(class, length)
            enter(class, root, false)
            if class == LOW then note_since(root) end
            count = count + length
        end
    end
    redis.call('HINCRBY', base .. 'meta', 'held', -count)
    wake(count)
    save()
    return count
end)
