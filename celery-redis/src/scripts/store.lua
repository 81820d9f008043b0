-- Stores results and tells who waits for them, except where a success is stored already.
--
-- KEYS    the keys of the results, which are the names of the channels too
-- ARGV    for each key:
--         the document
--         for how many milliseconds to keep it; 0 for ever
--         what the caller has read there and may be overwritten; empty for nothing
--
-- Returns for each key 1 when it was stored, 0 when a success is kept, what is there when that cannot be told, and a list
-- with the error for a key that is of another type.
local function store(key, document, lifetime, seen)
    local there = redis.pcall('GET', key)
    if type(there) == 'table' then
        return { there.err }
    end
    if there and there ~= seen then
        local status = string.match(there, '^{"status": "([^"\\]*)"')
        if status == 'SUCCESS' then
            return 0
        end
        if not status then
            return there
        end
    end
    if lifetime == '0' then
        redis.call('SET', key, document)
    else
        redis.call('SET', key, document, 'PX', lifetime)
    end
    redis.call('PUBLISH', key, document)
    return 1
end

local answers = {}
for i, key in ipairs(KEYS) do
    answers[i] = store(key, ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i])
end
return answers
