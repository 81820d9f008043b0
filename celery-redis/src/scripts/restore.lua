-- Puts back what is due: what was deferred by one of ours goes to its queue as it is. Then says who wakes for the next.
--
-- KEYS[1]  the hash of unacknowledged messages
-- KEYS[2]  the sorted set of their delivery times
-- KEYS[3]  who wakes for the next message that is due: the id of its process, and the delivery time of the message
-- ARGV[1]  the latest delivery time that counts as overdue
-- ARGV[2]  how many entries are looked at
-- ARGV[3]  what stands in front of the name of every queue
-- ARGV[4]  what stands between a queue and a priority
-- ARGV[5]  the id of this process
-- ARGV[6]  after how many milliseconds this process looks again in any case
-- ARGV[7]  how many milliseconds before it is overdue a message is read that nobody of ours deferred
-- ARGV[8…] the priorities that have a list of their own, ascending
--
-- Returns how many entries were looked at, after how many milliseconds this process is to look again, a flat list of tag and
-- entry of each that was not deferred by one of ours, which the caller has to read, and another one of some that will be
-- overdue in a moment.
local ceiling, interval = tonumber(ARGV[1]), tonumber(ARGV[6])
-- The latest first: each goes in front of the one before, so that the earliest is served first.
local tags = redis.call('ZREVRANGEBYSCORE', KEYS[2], ARGV[1], '-inf', 'LIMIT', 0, ARGV[2])
local unread = {}

local function list_of(quoted, priority)
    local queue = string.sub(quoted, 2, -2)
    if string.find(quoted, '\\', 1, true) then
        queue = cjson.decode('[' .. quoted .. ']')[1]
    end
    local step = ARGV[#ARGV]
    for i = 8, #ARGV do
        if tonumber(ARGV[i]) > priority then
            break
        end
        step = ARGV[i]
    end
    if step == '0' then
        return ARGV[3] .. queue
    end
    return ARGV[3] .. queue .. ARGV[4] .. step
end

if #tags > 0 then
    local done, lists, known, ours = {}, {}, {}, {}
    for i, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(tags))) do
        if not entry then
            done[#done + 1] = tags[i]
        else
            -- The spaces, one more than its priority, say that one of ours deferred it.
            local item, quoted, mark = string.match(entry, '^%[(.*), "", ("[^"]*")%]( +)$')
            if item then
                local name = quoted .. mark
                local list = known[name]
                if not list then
                    list = { key = list_of(quoted, #mark - 1), items = {}, tags = {}, entries = {} }
                    known[name] = list
                    lists[#lists + 1] = list
                end
                local at = #list.items + 1
                list.items[at], list.tags[at], list.entries[at] = item, tags[i], entry
            else
                unread[#unread + 1] = tags[i]
                unread[#unread + 1] = entry
            end
        end
    end
    for _, list in ipairs(lists) do
        local pushed = redis.pcall('RPUSH', list.key, unpack(list.items))
        for i, tag in ipairs(list.tags) do
            if type(pushed) == 'table' then
                -- Something else has the name of the queue. The caller will say so.
                unread[#unread + 1] = tag
                unread[#unread + 1] = list.entries[i]
            else
                done[#done + 1] = tag
                ours[#ours + 1] = tag
            end
        end
    end
    if #done > 0 then
        redis.call('ZREM', KEYS[2], unpack(done))
    end
    if #ours > 0 then
        redis.call('HDEL', KEYS[1], unpack(ours))
    end
end

-- What another process may be about to put back, if it is a moment later than this one, is read before that.
local function soon(tags)
    local found = {}
    for i, entry in ipairs(redis.call('HMGET', KEYS[1], unpack(tags))) do
        if entry and string.sub(entry, -1) ~= ' ' then
            found[#found + 1] = tags[i]
            found[#found + 1] = entry
        end
    end
    return found
end

local wait, lead, ahead = interval, tonumber(ARGV[7]), {}
local next_tag, first = unpack(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
if first then
    local until_first = math.max(math.ceil((tonumber(first) - ceiling) * 1000), 1)
    if until_first < interval + lead and #soon({ next_tag }) > 0 then
        if until_first > lead then
            until_first = until_first - lead
        else
            local before = string.format('%.6f', ceiling + lead / 1000)
            ahead = soon(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], before, 'LIMIT', 0, 50))
        end
    end
    if until_first < interval then
        local claim = redis.call('GET', KEYS[3])
        local who, what = string.match(claim or '', '^(%S+) (%S+)$')
        local due = who and tonumber(what)
        -- Another process wakes for it, or for one before it, and then for this one.
        if not (due and who ~= ARGV[5] and due > ceiling and due <= tonumber(first)) then
            redis.call('SET', KEYS[3], ARGV[5] .. ' ' .. first, 'PX', until_first + 1000)
            wait = until_first
        end
    end
end
return { #tags, wait, unread, ahead }
