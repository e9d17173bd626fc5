#!lua flags=allow-oom
-- Give a message back to the front of its root; the time it took is charged, nothing is learned.
--
-- KEYS[1] base
-- ARGV    consumer, lease, elapsed ms
-- returns 1 given back, 0 the lease was not out any more
-- O(log roots).
-- {order}
-- {leases}
local consumer, id = ARGV[1], ARGV[2]
local lease = read_lease(consumer, id)
if not lease then return 0 end
charge(lease, math.max(tonumber(ARGV[3]), LEAST))
put_back(consumer, id, lease)
wake(1)
save()
return 1
