-- Lets go of messages that are still ours, and leaves them in the books until they are due.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- ARGV    for each message its tag; the time at which it counts as delivered, which is when it is due, less the visibility
--         timeout; and the entry as it waits, or nothing to leave it as it is
--
-- Returns nothing.
for i = 1, #ARGV, 3 do
    local tag = ARGV[i]
    if redis.call('SREM', KEYS[3], tag) == 1 and redis.call('HEXISTS', KEYS[1], tag) == 1 then
        redis.call('ZADD', KEYS[2], ARGV[i + 1], tag)
        if ARGV[i + 2] ~= '' then
            redis.call('HSET', KEYS[1], tag, ARGV[i + 2])
        end
    end
end
