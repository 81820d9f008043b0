-- Stores results and tells who waits for them, except where a success is stored already.
--
-- KEYS    the keys of the results, which are the names of the channels too
-- ARGV    for each key:
--         the document
--         for how many milliseconds to keep it; 0 for ever
--         what the caller has read there and may be overwritten; empty for nothing
--
-- Returns for each key what became of it (see stored.lua).
local answers = {}
for i, key in ipairs(KEYS) do
    answers[i] = store(key, ARGV[3 * i - 2], ARGV[3 * i - 1], ARGV[3 * i])
end
return answers
