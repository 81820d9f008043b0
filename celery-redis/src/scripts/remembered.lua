-- The members of a shared set.
--
-- KEYS[1] the sorted set of members, by the server's time in seconds at which each expires
--
-- Returns those that have not expired, the oldest first.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.6f', now), '+inf')
