-- Says that this process lives, and takes over what the dead ones held.
--
-- KEYS[1] the sorted set of living processes, by the server's time in seconds
-- KEYS[2] the set of tags that this process holds
-- ARGV[1] the id of this process
-- ARGV[2] the key of a set of held tags, without the id of its process
-- ARGV[3] after how many seconds of silence a process is dead
--
-- Returns the tags taken over, which are ours from here on: a process that was only slow finds them gone.
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], 'GT', now, ARGV[1])
local inherited = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))) do
    if id ~= ARGV[1] then
        local set = ARGV[2] .. id
        for _, tag in ipairs(redis.call('SMEMBERS', set)) do
            redis.call('SADD', KEYS[2], tag)
            inherited[#inherited + 1] = tag
        end
        redis.call('DEL', set)
        redis.call('ZREM', KEYS[1], id)
    end
end
return inherited
