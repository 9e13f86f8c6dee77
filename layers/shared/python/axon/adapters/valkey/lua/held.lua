-- The bytes that Valkey must keep for an owner: for a tenant and for a connection, logs of their responses and
-- unstored turns; for a tenant's cache, stored turns. A log is counted by what it is expected to take until
-- its response ends, and by what it takes from then on. All is forgotten when it has certainly expired.

-- Seconds for which an owner's counts stay after the last change: longer than anything is held.
local COUNTED_S = 86400

local function tenant_of(id)
  return 'axon:tenant:' .. id
end

local function connection_of(id)
  return 'axon:connection:' .. id
end

local function cache_of(tenant)
  return 'axon:cache:' .. tenant
end

-- Return the owners of a response's log: its tenant, and the connection that has sent the request.
-- requested_on: the connection's id; false where none was recorded
local function log_owners(tenant, requested_on)
  return { tenant_of(tenant or ''), connection_of(requested_on or '') }
end

-- Return the keys of an owner's index of what is held, by the time at which it is forgotten, and of the
-- sizes, with their sum in the field ':total'.
local function held_keys(owner)
  local index = owner .. ':held'
  return index, index .. ':bytes'
end

local function release(owner, name)
  local index, sizes = held_keys(owner)
  local bytes = redis.call('HGET', sizes, name)
  if bytes then
    redis.call('HDEL', sizes, name)
    redis.call('HINCRBY', sizes, ':total', -bytes)
  end
  redis.call('ZREM', index, name)
end

local function hold(owner, name, bytes, until_ms)
  local index, sizes = held_keys(owner)
  release(owner, name)
  redis.call('ZADD', index, until_ms, name)
  redis.call('HSET', sizes, name, bytes)
  redis.call('HINCRBY', sizes, ':total', bytes)
  -- Both at once, so that neither is left without the other.
  redis.call('EXPIRE', index, COUNTED_S)
  redis.call('EXPIRE', sizes, COUNTED_S)
end

-- Count a response's log until then at the earliest, where it is counted. Whatever extends a log's expiry
-- calls this, or the log would live on uncounted.
local function extend_held(id, tenant, requested_on, until_ms)
  for _, owner in ipairs(log_owners(tenant, requested_on)) do
    local index, sizes = held_keys(owner)
    if redis.call('ZADD', index, 'XX', 'GT', 'CH', until_ms, id) == 1 then
      redis.call('EXPIRE', index, COUNTED_S)
      redis.call('EXPIRE', sizes, COUNTED_S)
    end
  end
end

-- Return how many bytes are held for an owner, after forgetting some of what has expired.
local function held_bytes(owner, now)
  local index, sizes = held_keys(owner)
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

-- Return whether an owner may hold this number of bytes more; true without a limit.
local function may_hold(owner, bytes, limit, now)
  return not limit or held_bytes(owner, now) + bytes <= tonumber(limit)
end
