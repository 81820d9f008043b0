-- Deletes the bindings of exchanges whose time is over, but for those that a queue is bound to for good.
--
-- KEYS[1] the sorted set of exchanges by the time until which their bindings are kept
-- ARGV[1] the key of a set of bindings, without the exchange
-- ARGV[2] the key of a set of permanent bindings, without the exchange
-- ARGV[3] how many at most
--
-- Returns how many exchanges were overdue.
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', ms), 'LIMIT', 0, ARGV[3])
for _, exchange in ipairs(overdue) do
    if redis.call('EXISTS', ARGV[2] .. exchange) == 0 then
        redis.call('DEL', ARGV[1] .. exchange)
    end
    redis.call('ZREM', KEYS[1], exchange)
end
return #overdue
