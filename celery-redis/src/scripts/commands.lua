-- What scripts share that carry out commands which they are given.
--
-- ARGV[from…] are the commands, each with the number of its words in front. `ONCE key seconds commands` is none of the
-- server's: so many commands that follow it are carried out only where the key is not there, and it is set then.

-- What cannot be done must be found before anything is.
local function fault(from)
    local at = from
    while at <= #ARGV do
        local command, key = ARGV[at + 1], ARGV[at + 2]
        if command == 'LPUSH' or command == 'RPUSH' then
            local kind = redis.call('TYPE', key).ok
            if kind ~= 'none' and kind ~= 'list' then
                return redis.error_reply('WRONGTYPE ' .. key .. ' is no list')
            end
        end
        at = at + ARGV[at] + 1
    end
end

local function carry_out(from)
    local at, skipped = from, 0
    while at <= #ARGV do
        local words = tonumber(ARGV[at])
        if skipped > 0 then
            skipped = skipped - 1
        elseif ARGV[at + 1] ~= 'ONCE' then
            redis.call(unpack(ARGV, at + 1, at + words))
        elseif not redis.call('SET', ARGV[at + 2], 1, 'NX', 'EX', ARGV[at + 3]) then
            skipped = tonumber(ARGV[at + 4])
        end
        at = at + words + 1
    end
end

