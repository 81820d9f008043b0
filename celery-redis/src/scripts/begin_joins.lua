-- Makes joins known.
--
-- KEYS[1] the sorted set of the joins that are not finished
-- then for each join the key of its group, and the key of ours
-- ARGV[1] for how many seconds the books of a join are kept; 0 for ever
-- ARGV[2] after how many seconds a join is looked at
-- then for each join:
--         the id of its group
--         how many parts there are
--         the results of the header
--         the group to save; empty for none
--
-- Returns nothing.
local index, seconds = KEYS[1], tonumber(ARGV[1])
for at = 1, (#KEYS - 1) / 2 do
    local group, ours = KEYS[2 * at], KEYS[2 * at + 1]
    local id, size, header, saved = unpack(ARGV, 4 * at - 1, 4 * at + 2)
    if is_done(group, ours) then
        redis.call('UNLINK', ours, group .. '.c', group .. '.j', group .. '.t', group .. '.d')
    end
    redis.call('SET', group .. '.s', size)
    keep(group .. '.s', seconds)
    if saved ~= '' then
        redis.call('SET', group, saved)
        keep(group, seconds)
    end
    redis.call('HSET', ours, 'header', header, 'size', size)
    redis.call('HSETNX', ours, 'since', string.format('%.3f', now()))
    keep(ours, seconds)
    look_at(index, id, now() + tonumber(ARGV[2]))
end
keep(index, seconds)
