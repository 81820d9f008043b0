-- Puts members into a shared set, for a time, and forgets those beyond its limit.
--
-- KEYS[1] the sorted set of members, by the server's time in seconds at which each expires
-- KEYS[2] the sorted set of the delivery times of messages that are out or wait; without it, the time begins now
-- ARGV[1] for how many seconds
-- ARGV[2] how many are kept
-- ARGV[3] the visibility timeout in seconds: that long after its delivery time the last message is due
-- ARGV[4] the members, the newest last
--
-- Returns nothing. The key expires with its last member.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local from = now
if KEYS[2] then
    local last = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
    from = math.max(now, last and tonumber(last) + tonumber(ARGV[3]) or now)
end
local until_when = from + tonumber(ARGV[1])
for i = 4, #ARGV do
    -- A microsecond apart, so that they stay in their order.
    redis.call('ZADD', KEYS[1], string.format('%.6f', until_when + (i - 4) / 1000000), ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then
    redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(last[2])))
end
