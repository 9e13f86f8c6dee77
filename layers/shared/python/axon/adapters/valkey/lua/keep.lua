-- Set fields of a hash, and how long the hash is kept: with only half of it, it would stay for ever.
-- KEYS: hash
-- ARGV: seconds to keep, then a field and its value, one pair or more
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
