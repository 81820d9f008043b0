-- Says how far joins are.
--
-- KEYS    for each join the key of its group, and the key of ours
--
-- Returns for each join a list: its size, how many parts it expects beside, how many are counted, since when it is known, and
-- who has claimed it. What is not known is null.
local tallies = {}
for at = 1, #KEYS / 2 do
    local group, ours = KEYS[2 * at - 1], KEYS[2 * at]
    tallies[at] = {
        redis.call('GET', group .. '.s'),
        redis.call('GET', group .. '.t'),
        counted(group),
        redis.call('HGET', ours, 'since'),
        redis.call('GET', group .. '.c'),
    }
end
return tallies
