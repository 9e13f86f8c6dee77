-- Register a worker, or replace its slots, load and models; renew its lease.
-- KEYS: workers, worker
-- ARGV: worker id, lease in ms, slots, load, models, version of the format
-- Returns nothing.
local workers, worker = KEYS[1], KEYS[2]
local now = now_ms()
-- A killed worker does not unregister itself: each registration removes expired ones.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', workers, id)
end
redis.call('ZADD', workers, now + ARGV[2], ARGV[1])
redis.call('EXPIRE', workers, 3600)
redis.call('HSET', worker, 'slots', ARGV[3], 'load', ARGV[4], 'models', ARGV[5],
  'format', ARGV[6])
redis.call('EXPIRE', worker, math.ceil(ARGV[2] / 1000) + 1)
