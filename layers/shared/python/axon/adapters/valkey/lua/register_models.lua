-- Register models that a worker serves, or renew their registrations.
-- KEYS: models, models last seen, models served since
-- ARGV: ms for which they stay known, ms without a registration after which a model counts as unserved,
--       the models
-- Returns nothing.
local known, last_seen, served = unpack(KEYS)
local now = now_ms()
for index = 3, #ARGV do
  local model = ARGV[index]
  local seen = tonumber(redis.call('ZSCORE', last_seen, model) or '0')
  -- The first worker after a time without any: what waited for it has its time in the queue from now on.
  if seen < now - ARGV[2] or not redis.call('ZSCORE', served, model) then
    redis.call('ZADD', served, now, model)
  end
  redis.call('ZADD', known, 'GT', now + ARGV[1], model)
  redis.call('ZADD', last_seen, 'GT', now, model)
end
