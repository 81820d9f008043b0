-- Stores a result and tells who waits for it, unless a success is stored already.
--
-- KEYS[1] the key of the result, which is the name of the channel too
-- ARGV[1] the document
-- ARGV[2] for how many milliseconds to keep it; 0 for ever
-- ARGV[3] what the caller has read there and may be overwritten; empty for nothing
--
-- Returns 1 when it was stored, 0 when a success is kept, and what is there when that cannot be told.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[3] then
    local status = string.match(there, '^{"status": "([^"\\]*)"')
    if status == 'SUCCESS' then
        return 0
    end
    if not status then
        return there
    end
end
if ARGV[2] == '0' then
    redis.call('SET', KEYS[1], ARGV[1])
else
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
redis.call('PUBLISH', KEYS[1], ARGV[1])
return 1
