#!lua
-- Put a message behind the others of its root, or among those that are due later.
--
-- KEYS[1] base
-- ARGV    now ('' for the server's), producer, number, again (1 repeats a publish whose reply
--         was lost), class ('normal' or 'low'), root, weight ('' leaves it; what is due later
--         brings it when it is due), due ms ('' for at once),
--         id, payload, ms for which the producer's number is remembered
-- returns 1 published, 0 it had been published before
-- Refused when the server is out of memory. O(log roots + log due).
-- {order}
local now, producer, number = clock(ARGV[1]), base .. 'p:' .. ARGV[2], tonumber(ARGV[3])
local class, root, weight, due = ARGV[5] == 'low' and LOW or NORMAL, ARGV[6], ARGV[7], ARGV[8]
if ARGV[4] == '1' and (tonumber(redis.call('GET', producer)) or 0) >= number then return 0 end
if due ~= '' and tonumber(due) > now then
    local name = class == LOW and 'low' or 'normal'
    local kept = string.format('%s %s %d ', name, weight == '' and '-' or weight, #root)
    kept = kept .. root .. ARGV[10]
    redis.call('HSET', base .. 'due_messages', ARGV[9], kept)
    redis.call('ZADD', base .. 'due', due, ARGV[9])
else
    enqueue(class, root, element_of(math.floor(now), 0, 0, ARGV[10]), false)
    set_weight(root, weight)
    wake(1)
end
redis.call('SET', producer, number, 'PX', ARGV[11])
save()
return 1
