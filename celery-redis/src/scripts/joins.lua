-- What the scripts share that count parts and complete joins. A join is known by the key of its group, from which Celery's
-- names of the others are made, and by a key of ours, a hash: what follows it (`callback`, as the first part of ours said it, and
-- `complete`, as it is sent), its `header`, its `size`, and `since` when it is known.

local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- How many parts are counted; the kind of the key depends on `result_chord_ordered`.
local function counted(group)
    if redis.call('TYPE', group .. '.j').ok == 'list' then
        return redis.call('LLEN', group .. '.j')
    end
    return redis.call('ZCARD', group .. '.j')
end

-- Whether all parts are there, and how many were said to be at first.
local function is_complete(group)
    local size = redis.call('GET', group .. '.s')
    if not size then
        return false, false
    end
    return counted(group) == tonumber(size) + tonumber(redis.call('GET', group .. '.t') or 0), size
end

-- Whether it was ended, by whomever. Where a part has failed, Python's workers drop the size and nothing else.
local function is_done(group, ours)
    if redis.call('GET', group .. '.c') == 'done' then
        return true
    end
    return redis.call('EXISTS', group .. '.s') == 0 and redis.call('HEXISTS', ours, 'size') == 1
end

-- Notes when the join is to be looked at: not before what is noted already, unless it is said to be certain.
local function look_at(index, id, when, is_certain)
    if is_certain then
        redis.call('ZADD', index, when, id)
    else
        redis.call('ZADD', index, 'NX', when, id)
    end
end

local function keep(key, seconds)
    if seconds > 0 then
        redis.call('EXPIRE', key, seconds)
    else
        redis.call('PERSIST', key)
    end
end

-- Gives a complete join to the caller, unless somebody else has it. Who asks again, since the answer was lost, gets it again.
--
-- Returns nil then, and else a list: what is to be sent, the saved group, 1 when a process of ours was to send it before, and
-- the parts.
local function claim(index, id, group, ours, token, millis)
    local callback = redis.call('HGET', ours, 'callback')
    if not callback then
        return nil
    end
    if not redis.call('SET', group .. '.c', token, 'NX', 'PX', millis) and redis.call('GET', group .. '.c') ~= token then
        return nil
    end
    look_at(index, id, now() + millis / 1000, true)
    local is_first = redis.call('HSETNX', ours, 'complete', callback)
    local parts = group .. '.j'
    if redis.call('TYPE', parts).ok == 'list' then
        parts = redis.call('LRANGE', parts, 0, -1)
    else
        parts = redis.call('ZRANGE', parts, 0, -1)
    end
    return { redis.call('HGET', ours, 'complete'), redis.call('GET', group), 1 - is_first, parts }
end

