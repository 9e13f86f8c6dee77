-- Set a field of a hash, and how long the hash is kept: with only half of it, it would stay for ever.
-- KEYS: hash
-- ARGV: field, value, seconds to keep
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
