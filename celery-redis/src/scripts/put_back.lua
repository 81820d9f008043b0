-- Moves a message that is still ours from the books to a list: its queue, or the quarantine.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- KEYS[4] the list
-- ARGV[1] the tag
-- ARGV[2] what to push
-- ARGV[3] LPUSH or RPUSH
--
-- Returns 1 when it was moved.
if redis.call('SREM', KEYS[3], ARGV[1]) == 0 then
    return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then
    return 0
end
redis.call(ARGV[3], KEYS[4], ARGV[2])
return 1
