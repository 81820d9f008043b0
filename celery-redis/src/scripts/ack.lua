-- Strikes messages from the books that are still ours.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- KEYS[4] the set of tags that were taken from this process while it was silent
-- ARGV    the tags
--
-- Returns the tags that were taken from us. One that is gone for another reason, as when this is repeated after a lost
-- reply, is as good as struck.
local was_silent = redis.call('EXISTS', KEYS[4]) == 1
local lost = {}
for _, tag in ipairs(ARGV) do
    if redis.call('SREM', KEYS[3], tag) == 1 then
        redis.call('ZREM', KEYS[2], tag)
        redis.call('HDEL', KEYS[1], tag)
        if was_silent then
            redis.call('SREM', KEYS[4], tag)
        end
    elseif was_silent and redis.call('SISMEMBER', KEYS[4], tag) == 1 then
        lost[#lost + 1] = tag
    end
end
return lost
