-- Which of these are members of a shared set.
--
-- KEYS[1] the sorted set of members, by the server's time in seconds at which each expires
-- ARGV    what is asked for
--
-- Returns those that are members and have not expired.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local members = {}
for _, asked in ipairs(ARGV) do
    local expires = redis.call('ZSCORE', KEYS[1], asked)
    if expires and tonumber(expires) > now then
        members[#members + 1] = asked
    end
end
return members
