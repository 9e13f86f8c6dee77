-- Renew a relay's lease, or end it.
-- KEYS: relays
-- ARGV: relay id, ms from now on for which the lease runs, 0 to end it
-- Returns nothing.
redis.call('ZADD', KEYS[1], ARGV[2] == '0' and 0 or now_ms() + ARGV[2], ARGV[1])
