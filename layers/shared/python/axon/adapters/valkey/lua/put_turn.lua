-- Keep a turn, with the ids of the turns before it, so that a conversation is read in pages; unless its
-- response was deleted meanwhile: a reader that refills the cache may have read the database before the
-- deletion. A stored turn is a copy of what the database gets: it is kept where there is room for it.
-- KEYS: turn, previous turn, connection, connection's turns, index of stored turns by their last use
-- ARGV: response id, previous response's id or '', connection id or '' for a stored turn, turn, head,
--       seconds to keep a stored turn, seconds to keep an unstored one whose connection is not known,
--       how many ids of earlier turns at most, tenant id, ms for which a stored turn stays after its use
-- Returns 'kept', 'deleted', 'gone' (nobody can continue an unstored turn without its connection) or
-- 'no_room' (for a stored turn).
-- Bytes of an unstored turn beside its content: the hash, entries in its connection's set and in what its
-- tenant holds.
local ENTRY_BYTES = 1024
-- Turns of the tenant that are evicted at most for a new one.
local EVICTIONS = 8
local turn, parent, connection, turns, index = unpack(KEYS)
local now = now_ms()
if redis.call('HEXISTS', turn, 'deleted') == 1 then
  return 'deleted'
end
local life = tonumber(ARGV[6])
if ARGV[3] ~= '' then
  if redis.call('HEXISTS', connection, 'gone') == 1 then
    return 'gone'
  end
  -- It can be continued as long as its connection lasts. Without the connection's key either the
  -- client left minutes ago, or a failover has lost the key.
  life = redis.call('TTL', connection)
  if life < 0 then
    life = tonumber(ARGV[7])
  end
end
local before = ARGV[2]
if before ~= '' then
  local count = 1
  for id in string.gmatch(redis.call('HGET', parent, 'before') or '', '%S+') do
    if count == tonumber(ARGV[8]) then
      break
    end
    before, count = before .. ' ' .. id, count + 1
  end
end
local bytes = ENTRY_BYTES + #ARGV[4] + #ARGV[5] + #before

-- Return whether the tenant's stored turns leave room for this one, after evicting the longest unused of them.
-- Those whose history record is on its way stay: until it has arrived, nobody else has them.
local function has_room(limit)
  local cache = cache_of(ARGV[9])
  local index, sizes = held_keys(cache)
  -- What it replaces. It is not released yet: a script that has written is no longer refused without memory.
  local more = bytes - (redis.call('HGET', sizes, 'turn:' .. ARGV[1]) or 0)
  if may_hold(cache, more, limit, now) then
    return true
  end
  local unused = now + life * 1000 - ARGV[10]
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', unused, 'LIMIT', 0, EVICTIONS)) do
    local id = string.sub(name, 6)
    if redis.call('EXISTS', 'axon:history:pending:' .. id) == 0 then
      redis.call('UNLINK', 'axon:turn:' .. id)
      redis.call('ZREM', KEYS[5], id)
      release(cache, name)
    end
  end
  return may_hold(cache, more, limit, now)
end

if ARGV[3] == '' then
  local limits = redis.call('HMGET', 'axon:memory', 'caches', 'cache_bytes')
  if limits[1] == '0' or not has_room(limits[2]) then
    return 'no_room'
  end
end
redis.call('HSET', turn, 'tenant_id', ARGV[9], 'turn', ARGV[4], 'previous', ARGV[2], 'connection_id', ARGV[3],
  'head', ARGV[5], 'before', before)
redis.call('EXPIRE', turn, life)
if ARGV[3] ~= '' then
  redis.call('SADD', turns, ARGV[1])
  redis.call('EXPIRE', turns, life)
  hold(tenant_of(ARGV[9]), 'turn:' .. ARGV[1], bytes, now + life * 1000)
  hold(connection, 'turn:' .. ARGV[1], bytes, now + life * 1000)
else
  hold(cache_of(ARGV[9]), 'turn:' .. ARGV[1], bytes, now + life * 1000)
  redis.call('ZADD', index, now, ARGV[1])
  -- Without a put or use for as long as a turn lives, all of them have expired.
  redis.call('EXPIRE', index, life)
  -- Those that were not used since have expired: for each turn that is added, some are removed.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now - life * 1000, 'LIMIT', 0, 8)) do
    redis.call('ZREM', index, id)
  end
end
return 'kept'
