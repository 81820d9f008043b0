-- Strikes messages off batches of this process.
--
-- KEYS[1] the hash of the batches that this process has taken
-- KEYS[2] the set of what was taken from this process while it was silent
-- ARGV[1] the key of a batch, without its number
-- ARGV[2…] for each batch its number, and how many ranges of places (from 1) follow; without any, all of it is done with
--
-- Returns the numbers of batches that were taken from us. One that is gone for another reason, as when this is repeated
-- after a lost reply, is as good as struck off.
local gone = {}
-- The first write needs no memory, so that the others are carried out also when the server has none left.
redis.call('HDEL', KEYS[1], '-')
local at = 2
while at <= #ARGV do
    local batch, ranges = ARGV[at], tonumber(ARGV[at + 1])
    at = at + 2
    if ranges == 0 then
        if redis.call('HDEL', KEYS[1], batch) == 1 then
            redis.call('UNLINK', ARGV[1] .. batch)
        else
            gone[#gone + 1] = batch
        end
    else
        local there = redis.call('HGET', KEYS[1], batch)
        if there then
            for range = 0, ranges - 1 do
                local from, to = tonumber(ARGV[at + 2 * range]), tonumber(ARGV[at + 2 * range + 1])
                there = string.sub(there, 1, from - 1) .. string.rep('d', to - from + 1) .. string.sub(there, to + 1)
            end
            redis.call('HSET', KEYS[1], batch, there)
        else
            gone[#gone + 1] = batch
        end
        at = at + 2 * ranges
    end
end
local taken = {}
if #gone > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
    for _, batch in ipairs(gone) do
        if redis.call('SISMEMBER', KEYS[2], '#' .. batch) == 1 then
            taken[#taken + 1] = batch
        end
    end
end
return taken
