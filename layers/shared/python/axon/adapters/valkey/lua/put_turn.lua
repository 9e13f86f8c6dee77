-- Keep a turn, unless its response was deleted meanwhile: a reader that refills the cache may have read the
-- database before the deletion.
-- KEYS: turn
-- ARGV: seconds to keep, then pairs of a field and its value
-- Returns 1 if the turn is kept.
if redis.call('HEXISTS', KEYS[1], 'deleted') == 1 then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
