-- Takes messages out of the queues into batches of a process, one batch for each queue, in one step.
--
-- KEYS[1]  the hash of the batches that this process has taken
-- KEYS[2]  the sorted set of living processes
-- KEYS[3…] the lists: for each priority step, all queues in the order of service
-- ARGV[1]  how many at most
-- ARGV[2]  `drain` to empty one queue before the next, else they take turns
-- ARGV[3]  the id of this process
-- ARGV[4]  the number of the batch of the first queue; those of the others follow
-- ARGV[5]  the key of a batch, without its number
-- ARGV[6…] for each queue its name, and after how many milliseconds it expires (0 for never)
--
-- Returns a flat list of queue number (from 0) and items, in the order in which they are to be served. A field of KEYS[1]
-- has one character for each message of the batch (`.` out, `d` done), a `:`, and the queue. Where there was less than
-- was asked for, reading the lengths has the server tell a tracking connection of the next change.
local limit, first, prefix = tonumber(ARGV[1]), tonumber(ARGV[4]), ARGV[5]
local queues = (#ARGV - 5) / 2
local steps = (#KEYS - 2) / queues

-- A key of the wrong type must fail here, before anything is taken.
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])

local taken, counts, left = {}, {}, limit

local function keep(number, items)
    redis.call('RPUSH', prefix .. string.format('%.0f', first + number), unpack(items))
    counts[number] = (counts[number] or 0) + #items
    left = left - #items
    taken[#taken + 1] = number
    taken[#taken + 1] = items
end

for step = 0, steps - 1 do
    local lists = 3 + step * queues
    if queues == 1 or ARGV[2] == 'drain' then
        for number = 0, queues - 1 do
            if left > 0 then
                local items = redis.pcall('RPOP', KEYS[lists + number], left)
                if items and not items.err then
                    keep(number, items)
                end
            end
        end
    else
        local found = true
        while found and left > 0 do
            found = false
            for number = 0, queues - 1 do
                if left > 0 then
                    local item = redis.pcall('RPOP', KEYS[lists + number])
                    if type(item) == 'string' then
                        keep(number, { item })
                        found = true
                    end
                end
            end
        end
    end
end

for number, count in pairs(counts) do
    local name, expires = ARGV[6 + 2 * number], ARGV[7 + 2 * number]
    redis.call('HSET', KEYS[1], string.format('%.0f', first + number), string.rep('.', count) .. ':' .. name)
    if expires ~= '0' then
        -- The queue is in use: what is left in it lives on.
        for step = 0, steps - 1 do
            redis.call('PEXPIRE', KEYS[3 + step * queues + number], expires)
        end
    end
end
if left < limit then
    redis.call('ZADD', KEYS[2], 'GT', redis.call('TIME')[1], ARGV[3])
end
if left > 0 then
    for i = 3, #KEYS do
        redis.pcall('LLEN', KEYS[i])
    end
end
return taken
