-- Charge what runs for longer than it was guessed, while it runs.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), consumer, then lease and elapsed ms of each job
-- O(jobs x log roots).
verb('refresh', {'allow-oom'}, function(ARGV)
    local now, consumer = clock(ARGV[1]), ARGV[2]
    for index = 3, #ARGV, 2 do
        local id, elapsed = ARGV[index], tonumber(ARGV[index + 1])
        local lease = read_lease(consumer, id)
        if lease and elapsed > lease.charged then
            charge(now, lease, elapsed)
            redis.call('HSET', leases_of(consumer), 'f' .. id, facts_text(lease))
        end
    end
    save()
end)
