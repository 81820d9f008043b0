-- Carries commands out and strikes a message off the books, if it is ours: both or neither.
--
-- KEYS[1] the hash of unacknowledged messages
-- KEYS[2] the sorted set of their delivery times
-- KEYS[3] the set of tags that this process holds
-- KEYS[4] the set of what was taken from this process while it was silent
-- KEYS[5] the hash of the batches that this process has taken
-- KEYS[6] the batch of the message
-- ARGV[1] the tag of the message, or the number of its batch
-- ARGV[2] its place in the batch, from 1; 0 for a tag
-- ARGV[3] `move` when the commands take the place of the message, so that they need no memory to speak of
-- ARGV[4…] the commands (see commands.lua)
--
-- Returns 1 when it was done, 0 when the message is gone, as when this is repeated after a lost reply, and -1 when it was
-- taken from us.
local id, place = ARGV[1], tonumber(ARGV[2])
local there
if place == 0 then
    if redis.call('SISMEMBER', KEYS[3], id) == 0 then
        return -redis.call('SISMEMBER', KEYS[4], id)
    end
    if redis.call('HEXISTS', KEYS[1], id) == 0 then
        redis.call('SREM', KEYS[3], id)
        redis.call('ZREM', KEYS[2], id)
        return 0
    end
else
    there = redis.call('HGET', KEYS[5], id)
    if not there then
        return -redis.call('SISMEMBER', KEYS[4], '#' .. id)
    end
    if string.sub(there, place, place) ~= '.' then
        return 0
    end
end

local wrong = fault(4)
if wrong then
    return wrong
end

if ARGV[3] == 'move' then
    redis.call('HDEL', KEYS[5], '-')
end
-- The claim goes first, since a command may put the same tag into the books again, for somebody else.
if place == 0 and ARGV[3] == 'move' then
    redis.call('SREM', KEYS[3], id)
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
end
carry_out(4)
if place == 0 then
    if ARGV[3] ~= 'move' then
        redis.call('SREM', KEYS[3], id)
        redis.call('ZREM', KEYS[2], id)
        redis.call('HDEL', KEYS[1], id)
    end
    return 1
end
there = string.sub(there, 1, place - 1) .. 'd' .. string.sub(there, place + 1)
if string.find(string.match(there, '^[.d]*'), '.', 1, true) then
    redis.call('HSET', KEYS[5], id, there)
else
    redis.call('HDEL', KEYS[5], id)
    redis.call('UNLINK', KEYS[6])
end
return 1
