-- Set fields of a hash and its expiry in one step: a client that died between the two commands would
-- leave a hash that never expires.
-- KEYS: hash
-- ARGV: seconds to keep, then one or more pairs of a field and its value
-- Returns nothing.
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
