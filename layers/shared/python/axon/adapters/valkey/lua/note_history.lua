-- Note that the history record of a response is on its way to the database.
-- KEYS: pending history
-- ARGV: tenant id, seconds to keep the note
-- Returns nothing.
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
