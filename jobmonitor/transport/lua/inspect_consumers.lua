-- Read who consumes from a queue, and what each holds, its newest leases first.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), how many consumers are passed over, how many are read, of each
--         how many leases
-- returns now, then of each consumer, the one that was silent for longest first: its name, slots,
--         ms of its last beat, leases, and of the newest ones: lease, root, task, job or '', class
-- O(consumers asked for x leases of each).
verb('inspect_consumers', {'no-writes'}, function(ARGV)
    local now, first, many = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local most = tonumber(ARGV[4])
    local consumers = redis.call('ZRANGE', base .. 'cons', first, first + many - 1, 'WITHSCORES')
    local found = {string.format('%.17g', now)}
    for index = 1, #consumers, 2 do
        local consumer, leases = consumers[index], {}
        local ids = lease_ids(consumer)
        for place = 1, math.min(#ids, most) do
            local id = string.format('%.0f', ids[place])
            local lease = read_lease(consumer, id)
            local element = redis.call('HGET', leases_of(consumer), 'm' .. id)
            local job = element and job_of(element) or ''
            leases[#leases + 1] = {
                id, lease.root, lease.task, job, lease.class == LOW and 'low' or 'normal',
            }
        end
        local slots = redis.call('HGET', base .. 'slots', consumer) or 0
        found[#found + 1] = {consumer, slots, consumers[index + 1], #ids, leases}
    end
    return found
end)
