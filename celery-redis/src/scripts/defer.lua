-- Lets go of a message that is still ours, and leaves it in the books until it is due.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- ARGV[1] the tag
-- ARGV[2] the time at which it counts as delivered: when it is due, less the visibility timeout
--
-- Returns 1 when it waits.
if redis.call('SREM', KEYS[3], ARGV[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
