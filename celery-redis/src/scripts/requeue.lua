-- Puts messages back that were set aside, each to the end of its queue.
--
-- KEYS[1]  the list of records
-- KEYS[2…] for each message the list that it goes to
-- ARGV     for each message its record as it is in the list, and what to push
--
-- Returns how many there were. Each is pushed before its record goes: a list that cannot be pushed to loses none.
local requeued = 0
for i = 2, #KEYS do
    local record, item = ARGV[2 * i - 3], ARGV[2 * i - 2]
    if redis.call('LPOS', KEYS[1], record) then
        redis.call('LPUSH', KEYS[i], item)
        redis.call('LREM', KEYS[1], 1, record)
        requeued = requeued + 1
    end
end
return requeued
