-- Stores the results of parts of chords, and counts the parts: for each of them both or neither.
--
-- KEYS[1] the sorted set of the joins that are not finished, by when they are to be looked at
-- then for each part:
--         the key of its result, which is the name of the channel too
--         the key of its group
--         the key of ours
-- ARGV[1] `zset` or `list`: how parts are kept
-- ARGV[2] for how many seconds the books of a join are kept; 0 for ever
-- ARGV[3] for how many seconds a saved group is kept; 0 for ever
-- ARGV[4] for how many milliseconds a join is left to who completes it
-- ARGV[5] after how many seconds a join is looked at
-- then for each part:
--         the document of the result; empty for one that is not stored
--         for how many milliseconds to keep it; 0 for ever
--         what the caller has read there and may be overwritten; empty for nothing
--         the id of the group
--         the id of the task
--         its place in the group
--         the part
--         what follows the join
--         a token
--
-- Returns for each part: 0 when it is counted, by this or before; a text, or a list with an error, when it was not stored
-- (see stored.lua) and so not counted; and the join when it is complete and the caller's (see `claim`), as a list of two, of which the
-- first is 1 when this part was counted before.
local kind, seconds, group_seconds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local index, look_after = KEYS[1], tonumber(ARGV[5])

local function count(key, arg)
    local result, group, ours = KEYS[key], KEYS[key + 1], KEYS[key + 2]
    local id, task, place, part, callback, token = unpack(ARGV, arg + 3, arg + 8)
    local parts, known = group .. '.j', group .. '.d'
    local there = redis.call('TYPE', parts).ok
    if there ~= 'none' and there ~= kind then
        return { 'WRONGTYPE ' .. parts .. ' is a ' .. there .. ', and no ' .. kind .. '; see `result_chord_ordered`' }
    end
    if ARGV[arg] ~= '' then
        local stored = store(result, ARGV[arg], ARGV[arg + 1], ARGV[arg + 2])
        if type(stored) ~= 'number' then
            return stored
        end
    end
    if redis.call('GET', group .. '.c') == 'done' then
        return 0
    end
    local is_new = redis.call('SADD', known, task .. ':' .. place)
    if is_new == 1 then
        if kind == 'list' then
            redis.call('RPUSH', parts, part)
        else
            -- One task at two places, with one result, is one member; in JSON white space makes it another.
            local score = redis.call('ZSCORE', parts, part)
            while score and tonumber(score) ~= tonumber(place) and string.byte(part) == 91 do
                part = part .. ' '
                score = redis.call('ZSCORE', parts, part)
            end
            redis.call('ZADD', parts, place, part)
        end
    end
    if redis.call('HSETNX', ours, 'callback', callback) == 1 then
        redis.call('HSETNX', ours, 'since', string.format('%.3f', now()))
        look_at(index, id, now() + look_after)
        keep(index, seconds)
    end
    if seconds > 0 then
        for _, suffix in ipairs({ '.j', '.t', '.s', '.d' }) do
            redis.call('EXPIRE', group .. suffix, seconds)
        end
        redis.call('EXPIRE', ours, seconds)
        if group_seconds > 0 then
            redis.call('EXPIRE', group, group_seconds)
        end
    end
    local complete, size = is_complete(group)
    if size then
        redis.call('HSETNX', ours, 'size', size)
    end
    if not complete then
        return 0
    end
    if is_new == 1 then
        redis.call('HSET', ours, 'callback', callback)
    end
    local join = claim(index, id, group, ours, token, ARGV[4])
    return join and { 1 - is_new, join } or 0
end

local answers = {}
for at = 1, (#KEYS - 1) / 3 do
    -- What is wrong with one join is no other's concern.
    local is_done, answer = pcall(count, 3 * at - 1, 9 * at - 3)
    answers[at] = is_done and answer or { type(answer) == 'table' and answer.err or tostring(answer) }
end
return answers
