-- Set the number of jobs that a worker has, if it is registered: to create the hash of one that has
-- left would leave a key without an expiry.
-- KEYS: worker
-- ARGV: load
-- Returns nothing.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'load', ARGV[1])
end
