-- Says that this process lives, and takes over what the dead ones held.
--
-- KEYS[1] the sorted set of living processes, by the server's time in seconds
-- KEYS[2] the set of tags that this process holds
-- KEYS[3] the sorted set of delivery times
-- KEYS[4] the hash of the batches that this process has taken
-- ARGV[1] the id of this process
-- ARGV[2] the key of a set of held tags, without the id of its process
-- ARGV[3] after how many seconds of silence a process is dead; 0 to take nothing over
-- ARGV[4] the key of a set of what was taken from a process, without the id of its process
-- ARGV[5] how many seconds after its last sign of life a process may have renewed what it holds
-- ARGV[6] the key of a hash of batches, without the id of its process
-- ARGV[7] the number of the first batch that is taken over
-- ARGV[8] how many batches are taken over at most
--
-- Returns the tags taken over and the number of batches, which are ours from here on. A process that was only slow finds
-- them gone, and in the set of those that were taken from it. What was delivered to somebody else while it was silent is
-- theirs and stays: its delivery time is later than the dead process can have written.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], 'GT', now, ARGV[1])
local inherited, batches = {}, 0
if ARGV[3] == '0' then
    return { inherited, batches }
end
local number, most = tonumber(ARGV[7]), tonumber(ARGV[8])

-- Takes over batches while there is room, and says whether all were.
local function take_batches(id, taken)
    local registry = ARGV[6] .. id
    local left = redis.call('HGETALL', registry)
    for i = 1, #left, 2 do
        if batches == most then
            return false
        end
        local batch, states = left[i], left[i + 1]
        local list, own = registry .. '.' .. batch, string.format('%.0f', number + batches)
        if redis.call('EXISTS', list) == 1 then
            redis.call('RENAME', list, KEYS[4] .. '.' .. own)
            -- The mark of what the dead have left.
            redis.call('HSET', KEYS[4], own, (string.gsub(states, '^([.d]*):', '%1!')))
            batches = batches + 1
        end
        redis.call('HDEL', registry, batch)
        redis.call('SADD', taken, '#' .. batch)
    end
    return true
end

local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]), 'WITHSCORES')
for i = 1, #dead, 2 do
    local id, latest = dead[i], tonumber(dead[i + 1]) + tonumber(ARGV[5])
    if id ~= ARGV[1] then
        local set, taken = ARGV[2] .. id, ARGV[4] .. id
        local tags = redis.call('SMEMBERS', set)
        for _, tag in ipairs(tags) do
            local at = redis.call('ZSCORE', KEYS[3], tag)
            if not (at and tonumber(at) > latest) and redis.call('SADD', KEYS[2], tag) == 1 then
                inherited[#inherited + 1] = tag
            end
        end
        if #tags > 0 then
            redis.call('SUNIONSTORE', taken, taken, set)
        end
        redis.call('DEL', set)
        local all = take_batches(id, taken)
        redis.call('EXPIRE', taken, 86400)
        if all then
            redis.call('ZREM', KEYS[1], id)
        end
    end
end
return { inherited, batches }
