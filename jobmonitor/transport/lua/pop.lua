-- Pop the first message that is found in the lists of queues which are not in fair order, without
-- waiting: beside a busy fair queue nobody would come to wait for them.
--
-- KEYS    lists of kombu's own Redis transport, in the order in which they are looked at
-- returns {list, message}, or nil
-- O(lists).
verb('pop', {}, function(_, KEYS)
    for _, list in ipairs(KEYS) do
        local message = redis.call('RPOP', list)
        if message then return {list, message} end
    end
    return false
end)
