-- Enter a worker, or what has become of it.
-- KEYS: workers, worker
-- ARGV: id, ms of the lease, slots, load, models
local workers, worker = KEYS[1], KEYS[2]
local now = now_ms()
-- A worker that was killed is taken out by those that are left.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', workers, '-inf', now)) do
  redis.call('ZREM', workers, id)
end
redis.call('ZADD', workers, now + ARGV[2], ARGV[1])
redis.call('EXPIRE', workers, 3600)
redis.call('HSET', worker, 'slots', ARGV[3], 'load', ARGV[4], 'models', ARGV[5])
redis.call('EXPIRE', worker, math.ceil(ARGV[2] / 1000) + 1)
