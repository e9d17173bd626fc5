-- End a consumer: what it still holds goes back to the front of its roots at once.
--
-- KEYS[1] base
-- ARGV    consumer
-- returns how many messages went back
-- O(leases x log roots).
verb('leave', {'allow-oom'}, function(ARGV)
    local consumer = ARGV[1]
    local ids = lease_ids(consumer)
    for _, number in ipairs(ids) do
        local id = string.format('%.0f', number)
        put_back(consumer, id, read_lease(consumer, id))
    end
    forget_consumer(consumer)
    wake(#ids)
    save()
    return #ids
end)
