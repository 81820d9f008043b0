-- Puts a message back whose time has come, or lets it wait, unless somebody else was faster.
--
-- KEYS[1]  the hash of unacknowledged messages
-- KEYS[2]  the sorted set of their delivery times
-- KEYS[3…] the lists to push it to; without any, it stays where it is
-- ARGV[1]  the tag
-- ARGV[2]  the latest delivery time that counts as overdue
-- ARGV[3]  the entry as it was read
-- ARGV[4]  what to push; for one that stays, the time at which it counts as delivered from now on
--
-- Returns 1 when it was done.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) > tonumber(ARGV[2]) or redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then
    return 0
end
if #KEYS == 2 then
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
    return 1
end
for i = 3, #KEYS do
    redis.call('RPUSH', KEYS[i], ARGV[4])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
