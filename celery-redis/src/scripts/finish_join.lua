-- Ends a join, unless it is another's to end.
--
-- KEYS[1] the sorted set of the joins that are not finished
-- KEYS[2] the key of its group
-- KEYS[3] the key of ours
-- ARGV[1] the id of its group
-- ARGV[2] the token that it was claimed with
-- ARGV[3] for how many seconds it is known that it is done
--
-- Returns 1 when it was ended, and else 0.
local group = KEYS[2]
local owner = redis.call('GET', group .. '.c')
if owner and owner ~= ARGV[2] then
    return 0
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('UNLINK', KEYS[3])
if not owner and redis.call('EXISTS', group .. '.s') == 0 then
    return 0
end
redis.call('UNLINK', group .. '.j', group .. '.t', group .. '.s', group .. '.d')
redis.call('SET', group .. '.c', 'done', 'EX', ARGV[3])
return 1
