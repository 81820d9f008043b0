-- Writes into the books that a message is begun, if it is still ours: a copy that counts this delivery takes its place.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the set of tags that this process holds
-- KEYS[3] the hash of the batches that this process has taken
-- KEYS[4] the batch of the message
-- ARGV[1] the tag of the message, or the number of its batch
-- ARGV[2] its place in the batch, from 1; 0 for a tag
-- ARGV[3] the copy: the item of the batch, or the entry
--
-- Returns 1 when it was written, else -1.
local place = tonumber(ARGV[2])
if place == 0 then
    if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
        return -1
    end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    return 1
end
local there = redis.call('HGET', KEYS[3], ARGV[1])
if not there or string.sub(there, place, place) ~= '.' then
    return -1
end
redis.call('LSET', KEYS[4], place - 1, ARGV[3])
return 1
