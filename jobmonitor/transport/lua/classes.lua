-- What verbs have that move roots from one class to the other; after order.lua.

-- Let what waits of a root wait in the other class; returns how many messages are left where they
-- were: those of a list whose place is taken move one by one, up to a number at once of a step.
local function move(root, from, to, at_once)
    local moved, left, stood = 0, 0, first_list(to, root)
    for _, step in ipairs(STEPS) do
        local source = list_of(from, root, step)
        local length = redis.call('LLEN', source)
        local target = list_of(to, root, step)
        if length > 0 and to == NORMAL and redis.call('EXISTS', target) == 1 then
            target = list_of(to, root, 9)  -- behind the others of the root
            add_trait(STEPPED)
        end
        if length > 0 and redis.call('EXISTS', target) == 0 then
            redis.call('RENAME', source, target)
            moved = moved + length
        elseif length > 0 then
            local some = math.min(length, at_once)
            for _ = 1, some do redis.call('LMOVE', source, target, 'LEFT', 'RIGHT') end
            moved, left = moved + some, left + length - some
        end
    end
    if moved == 0 or is_held(root) then return left end
    count_waiting(from, -moved)
    count_waiting(to, moved)
    if left == 0 then withdraw(from, root) end
    if not stood then enter(to, root, false) end
    if to == LOW or left > 0 then note_since(root) end
    return left
end
