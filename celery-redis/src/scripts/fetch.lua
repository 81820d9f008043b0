-- Takes messages out of the queues and writes them into the books, in one step.
--
-- KEYS[1]  the hash of unacknowledged messages
-- KEYS[2]  the sorted set of their delivery times
-- KEYS[3]  the set of tags that this process holds
-- KEYS[4]  the sorted set of living processes
-- KEYS[5…] the lists: for each priority step, all queues in the order of service
-- ARGV[1]  how many at most
-- ARGV[2]  the time now, in seconds, by the client's clock as kombu has it
-- ARGV[3]  `drain` to empty one queue before the next, else they take turns
-- ARGV[4]  the id of this process
-- ARGV[5]  a unique text to make the tags of malformed items from
-- ARGV[6…] the names of the queues
--
-- Returns a flat list of queue number (from 0), tag and item; empty when nothing waits. Where there was less than was
-- asked for, reading the lengths has the server tell a tracking connection of the next change.
local limit, queues = tonumber(ARGV[1]), #ARGV - 5
local steps = (#KEYS - 4) / queues

-- A key of the wrong type must fail here, before anything is taken.
redis.call('HLEN', KEYS[1])
redis.call('ZCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])

local taken = {}
local entries, scores, tags = {}, {}, {}

local function is_utf8(text)
    if not string.find(text, '[\128-\255]') then
        return true
    end
    text = string.gsub(text, '[\194-\223][\128-\191]', ' ')
    text = string.gsub(text, '[\224-\239][\128-\191][\128-\191]', ' ')
    text = string.gsub(text, '[\240-\244][\128-\191][\128-\191][\128-\191]', ' ')
    return not string.find(text, '[\128-\255]')
end

-- What is no envelope is wrapped in one, each byte as one character, so that whoever restores it finds JSON.
local function wrap(item, tag, queue)
    local text = string.gsub(item, '[%c"\\\127-\255]', function(c)
        return string.format('\\u%04x', string.byte(c))
    end)
    return '{"body": "' .. text .. '", "content-encoding": "latin-1", "content-type": "application/data", '
        .. '"headers": {"celery-malformed": true}, "properties": {"delivery_mode": 2, "delivery_info": '
        .. '{"exchange": "", "routing_key": ' .. queue .. '}, "priority": 0, "delivery_tag": "' .. tag .. '"}}'
end

local function record(item, number)
    local queue = cjson.encode(ARGV[6 + number])
    local ok, envelope = pcall(cjson.decode, item)
    local tag
    if ok and type(envelope) == 'table' and type(envelope.properties) == 'table'
        and type(envelope.properties.delivery_tag) == 'string' and is_utf8(item) then
        tag = envelope.properties.delivery_tag
        entries[#entries + 1] = tag
        entries[#entries + 1] = '[' .. item .. ', "", ' .. queue .. ']'
    else
        tag = ARGV[5] .. '-' .. #tags
        entries[#entries + 1] = tag
        entries[#entries + 1] = '[' .. wrap(item, tag, queue) .. ', "", ' .. queue .. ']'
    end
    scores[#scores + 1] = ARGV[2]
    scores[#scores + 1] = tag
    tags[#tags + 1] = tag
    taken[#taken + 1] = number
    taken[#taken + 1] = tag
    taken[#taken + 1] = item
end

for step = 0, steps - 1 do
    local first = 5 + step * queues
    if queues == 1 or ARGV[3] == 'drain' then
        for number = 0, queues - 1 do
            if #tags < limit then
                local items = redis.pcall('RPOP', KEYS[first + number], limit - #tags)
                if items and not items.err then
                    for _, item in ipairs(items) do
                        record(item, number)
                    end
                end
            end
        end
    else
        local found = true
        while found and #tags < limit do
            found = false
            for number = 0, queues - 1 do
                if #tags < limit then
                    local item = redis.pcall('RPOP', KEYS[first + number])
                    if type(item) == 'string' then
                        record(item, number)
                        found = true
                    end
                end
            end
        end
    end
end

if #tags < limit then
    for i = 5, #KEYS do
        redis.pcall('LLEN', KEYS[i])
    end
end
if #tags == 0 then
    return taken
end
redis.call('HSET', KEYS[1], unpack(entries))
redis.call('ZADD', KEYS[2], unpack(scores))
redis.call('SADD', KEYS[3], unpack(tags))
redis.call('ZADD', KEYS[4], 'GT', redis.call('TIME')[1], ARGV[4])
return taken
