-- Write how many jobs a worker has in hand, if it is registered.
-- KEYS: worker
-- ARGV: load
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'load', ARGV[1])
end
