-- Strikes messages from the books that are still ours.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- ARGV    the tags
--
-- Returns how many were ours.
local struck = 0
for _, tag in ipairs(ARGV) do
    if redis.call('SREM', KEYS[3], tag) == 1 then
        redis.call('ZREM', KEYS[2], tag)
        redis.call('HDEL', KEYS[1], tag)
        struck = struck + 1
    end
end
return struck
