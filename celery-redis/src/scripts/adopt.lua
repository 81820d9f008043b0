-- Moves messages of a batch that are still out into kombu's books, where Python's workers see them.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- KEYS[4] the hash of the batches that this process has taken
-- KEYS[5] the batch
-- ARGV[1] the number of the batch
-- ARGV[2] the time now, in seconds, by the client's clock as kombu has it
-- ARGV[3…] for each message its place in the batch (from 1), its tag and its entry
--
-- Returns the places of those that are in the books, or nothing at all when the batch is not ours any more. One whose tag
-- is in the books already, for a copy of it, stays where it is.
local there = redis.call('HGET', KEYS[4], ARGV[1])
local adopted = {}
for at = 3, #ARGV, 3 do
    local place, tag = tonumber(ARGV[at]), ARGV[at + 1]
    if there and string.sub(there, place, place) == '.' then
        if redis.call('HEXISTS', KEYS[1], tag) == 0 then
            redis.call('HSET', KEYS[1], tag, ARGV[at + 2])
            redis.call('ZADD', KEYS[2], ARGV[2], tag)
            redis.call('SADD', KEYS[3], tag)
            there = string.sub(there, 1, place - 1) .. 'd' .. string.sub(there, place + 1)
            adopted[#adopted + 1] = place
        end
    elseif redis.call('SISMEMBER', KEYS[3], tag) == 1 then
        -- This is repeated after a lost reply.
        adopted[#adopted + 1] = place
    end
end
if there then
    if string.find(string.match(there, '^[.d]*'), '.', 1, true) then
        redis.call('HSET', KEYS[4], ARGV[1], there)
    else
        redis.call('HDEL', KEYS[4], ARGV[1])
        redis.call('UNLINK', KEYS[5])
    end
elseif #adopted == 0 then
    return false
end
return adopted
