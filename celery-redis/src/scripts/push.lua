-- Pushes a message and notes with which number, in one step.
--
-- KEYS[1] the list
-- KEYS[2] where the number is noted
-- ARGV[1] the number
-- ARGV[2] for how many seconds the note is kept
-- ARGV[3] the message
--
-- Returns nothing. The push goes first: where it fails nothing is noted.
redis.call('LPUSH', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
