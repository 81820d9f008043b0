-- Renews what this process holds, so that nobody takes it for overdue.
--
-- KEYS[1] the sorted set of delivery times
-- KEYS[2] the set of tags that this process holds
-- ARGV[1] the time now, in seconds, by the client's clock as kombu has it
-- ARGV[2…] the tags
--
-- Returns nothing. What is not ours any more is passed over: it may have been deferred, by us or by others, and its
-- time is then when it is due.
for i = 2, #ARGV do
    if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 1 then
        redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i])
    end
end
