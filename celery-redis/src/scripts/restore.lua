-- Puts a message back whose time has come, unless somebody else was faster.
--
-- KEYS[1]  the hash of unacknowledged messages
-- KEYS[2]  the sorted set of their delivery times
-- KEYS[3…] the lists to push it to
-- ARGV[1]  the tag
-- ARGV[2]  the latest delivery time that counts as overdue
-- ARGV[3]  the entry as it was read; empty when there was none
-- ARGV[4]  what to push
--
-- Returns 1 when it was put back.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) then
    return 0
end
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
    redis.call('ZREM', KEYS[2], ARGV[1])
    return 0
end
if entry ~= ARGV[3] then
    return 0
end
for i = 3, #KEYS do
    redis.call('RPUSH', KEYS[i], ARGV[4])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
