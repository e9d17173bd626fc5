-- What the library of the verbs begins with: how each becomes a function of the server.
--
-- Functions are made once, when the library is loaded; a script would make all of them anew at
-- each call, which took a third of its time. What is of one call only is set at its begin.
local PREFIX = '{prefix}'
local base, meta, changed

-- KEYS[1] is the base of all keys of the queue; `run` gets the arguments, and the keys.
local function verb(name, flags, run)
    redis.register_function{
        function_name = PREFIX .. name,
        flags = flags,
        callback = function(KEYS, ARGV)
            base, meta, changed = KEYS[1], {}, {}
            return run(ARGV, KEYS)
        end,
    }
end
