-- Looks at joins that are to be looked at by now, and gives the caller those that are complete and nobody's.
--
-- KEYS[1] the sorted set of the joins that are not finished, by when they are to be looked at
-- ARGV[1] what the key of a group starts with
-- ARGV[2] what the key of ours starts with
-- ARGV[3] for how many milliseconds a join is left to who completes it
-- ARGV[4] after how many seconds a join is looked at again
-- ARGV[5] how many joins are looked at
-- ARGV[6] how many are given at most
-- ARGV[7] a token
--
-- Returns for each that is given a list of two: its id, and the join (see `claim`).
local index, millis, look_after = KEYS[1], ARGV[3], tonumber(ARGV[4])
local given = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now(), 'LIMIT', 0, ARGV[5])) do
    local group, ours = ARGV[1] .. id, ARGV[2] .. id
    local owner = redis.call('GET', group .. '.c')
    local is_there = redis.call('EXISTS', group .. '.s', group .. '.j') > 0
    if is_done(group, ours) or not is_there then
        redis.call('ZREM', index, id)
        redis.call('UNLINK', ours)
    elseif owner then
        look_at(index, id, now() + math.max(redis.call('PTTL', group .. '.c'), 100) / 1000, true)
    elseif not is_complete(group) then
        look_at(index, id, now() + look_after, true)
    elseif redis.call('HEXISTS', ours, 'complete') == 0 and redis.call('HSETNX', ours, 'waits', 1) == 1 then
        -- A worker that claims nothing, as Celery's before 5.7, may be completing it this moment.
        look_at(index, id, now() + millis / 1000, true)
    else
        local join = claim(index, id, group, ours, ARGV[7], millis)
        if join then
            given[#given + 1] = { id, join }
        else
            look_at(index, id, now() + look_after, true)
        end
    end
    if #given >= tonumber(ARGV[6]) then
        break
    end
end
return given
