-- Let what waits of a root wait in the other class from now on, in the same order.
--
-- KEYS[1] base
-- ARGV    root, class to which it goes ('normal' or 'low'), how many messages at most where some
--         wait there already; else the number does not matter
-- returns how many messages are left where they were: then it is to be called again
-- O(log roots), and O(1) for each message that is moved one by one.
verb('move', {'allow-oom'}, function(ARGV)
    local root, to = ARGV[1], ARGV[2] == 'low' and LOW or NORMAL
    local left = move(root, to == LOW and NORMAL or LOW, to, tonumber(ARGV[3]))
    wake(1)
    save()
    return left
end)
