-- Binds a queue that expires, and raises the time until which its exchange's bindings are kept.
--
-- KEYS[1] the set of bindings of the exchange
-- KEYS[2] the sorted set of exchanges by the time until which their bindings are kept
-- ARGV[1] the binding
-- ARGV[2] the exchange
-- ARGV[3] for how many milliseconds to keep it
--
-- Returns nothing.
redis.call('SADD', KEYS[1], ARGV[1])
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
redis.call('ZADD', KEYS[2], 'GT', string.format('%.0f', ms + tonumber(ARGV[3])), ARGV[2])
