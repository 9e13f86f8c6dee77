-- The bytes that Valkey must keep for each tenant: logs of its responses, and its unstored turns. A log is
-- counted by what it is expected to take until its response ends, and by what it takes from then on. All is
-- forgotten when it has certainly expired.

-- Return the keys of a tenant's index of what is held, by the time at which it is forgotten, and of the
-- sizes, with their sum in the field ':total'.
local function held_keys(tenant)
  local index = 'axon:tenant:' .. tenant .. ':held'
  return index, index .. ':bytes'
end

local function release(tenant, name)
  local index, sizes = held_keys(tenant)
  local bytes = redis.call('HGET', sizes, name)
  if bytes then
    redis.call('HDEL', sizes, name)
    redis.call('HINCRBY', sizes, ':total', -bytes)
  end
  redis.call('ZREM', index, name)
end

local function hold(tenant, name, bytes, until_ms)
  local index, sizes = held_keys(tenant)
  release(tenant, name)
  redis.call('ZADD', index, until_ms, name)
  redis.call('HSET', sizes, name, bytes)
  redis.call('HINCRBY', sizes, ':total', bytes)
  -- As long as anything may be held; both at once, so that neither is left without the other.
  redis.call('EXPIRE', index, 86400)
  redis.call('EXPIRE', sizes, 86400)
end

-- Return how many bytes are held for a tenant, after forgetting some of what has expired.
local function held_bytes(tenant, now)
  local index, sizes = held_keys(tenant)
  -- Many at once, in a fixed number of commands: a request must not be refused for what has expired.
  local expired, bytes = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, 1000), 0
  if #expired > 0 then
    for _, size in ipairs(redis.call('HMGET', sizes, unpack(expired))) do
      bytes = bytes + (size or 0)
    end
    redis.call('HDEL', sizes, unpack(expired))
    redis.call('HINCRBY', sizes, ':total', string.format('%.0f', 0 - bytes))
    redis.call('ZREM', index, unpack(expired))
  end
  return tonumber(redis.call('HGET', sizes, ':total') or '0')
end

