-- Says how far joins are.
--
-- KEYS    for each join the key of its group, and the key of ours
--
-- Returns for each join that is not done a list: its size, how many parts it expects beside, how many are counted, since when it is
-- known, and whether somebody has claimed it. What is not known is null.
local tallies = {}
for at = 1, #KEYS / 2 do
    local group, ours = KEYS[2 * at - 1], KEYS[2 * at]
    tallies[at] = not is_done(group, ours) and {
        redis.call('GET', group .. '.s'),
        redis.call('GET', group .. '.t'),
        counted(group),
        redis.call('HGET', ours, 'since'),
        redis.call('EXISTS', group .. '.c'),
    }
end
return tallies
