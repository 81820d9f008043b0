-- Puts messages of a batch back at the front of their lists.
--
-- KEYS[1] the hash of the batches that this process has taken, or taken over
-- KEYS[2] the batch
-- ARGV[1] the number of the batch
-- ARGV[2…] for each message its place in the batch (from 1), the list, and what to push: the last one first
--
-- Returns how many were put back. One whose list is none stays in the batch.
local there = redis.call('HGET', KEYS[1], ARGV[1])
if not there then
    return 0
end
local back = 0
redis.call('HDEL', KEYS[1], '-')
for at = 2, #ARGV, 3 do
    local place = tonumber(ARGV[at])
    if string.sub(there, place, place) == '.' then
        local pushed = redis.pcall('RPUSH', ARGV[at + 1], ARGV[at + 2])
        if type(pushed) == 'number' then
            there = string.sub(there, 1, place - 1) .. 'd' .. string.sub(there, place + 1)
            back = back + 1
        end
    end
end
if string.find(string.match(there, '^[.d]*'), '.', 1, true) then
    redis.call('HSET', KEYS[1], ARGV[1], there)
else
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('UNLINK', KEYS[2])
end
return back
