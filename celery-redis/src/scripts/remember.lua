-- Puts members into a shared set, for a time, and forgets those beyond its limit.
--
-- KEYS[1] the sorted set of members, by the server's time in seconds at which each expires
-- ARGV[1] for how many seconds
-- ARGV[2] how many are kept
-- ARGV[3] the members, the newest last
--
-- Returns nothing. The key expires with its last member.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local until_when = now + tonumber(ARGV[1])
for i = 3, #ARGV do
    -- A microsecond apart, so that they stay in their order.
    redis.call('ZADD', KEYS[1], string.format('%.6f', until_when + (i - 3) / 1000000), ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
    redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(last[2])))
end
