-- Erase the content of a deleted response that has ended.
-- KEYS: turn, response, events, journal, pending history, index of stored turns by their last use
-- ARGV: response id, seconds to keep the turn's marker, seconds to keep events that are being delivered
--       or followed
-- Returns nothing.
local turn, response, events, journal, pending, index = unpack(KEYS)
-- The marker refuses turns that are put later. It has no field 'turn', so readers find nothing.
-- Unlinked: the memory of a long answer is freed in the background.
local turn_of = redis.call('HGET', turn, 'connection_id')
redis.call('UNLINK', turn, pending)
redis.call('ZREM', index, ARGV[1])
redis.call('HSET', turn, 'deleted', 1)
redis.call('EXPIRE', turn, ARGV[2])
local relay, tenant, requested_on = unpack(redis.call('HMGET', response, 'relay_id', 'tenant_id', 'requested_on'))
-- Who follows it may have to read the end that the deletion has made, as its relay may.
local delivering = relay and (redis.call('SISMEMBER', 'axon:relay:' .. relay .. ':responses', ARGV[1]) == 1
  or redis.call('PUBSUB', 'NUMSUB', response)[2] > 0)
if tenant and tenant ~= '' then
  -- Else the tenant could be refused for what it has deleted, until the log would have expired.
  for _, owner in ipairs({ tenant_of(tenant), connection_of(turn_of or ''), cache_of(tenant) }) do
    release(owner, 'turn:' .. ARGV[1])
  end
  for _, owner in ipairs(log_owners(tenant, requested_on)) do
    if delivering then
      redis.call('ZADD', held_keys(owner), 'XX', 'LT', now_ms() + ARGV[3] * 1000, ARGV[1])
    else
      release(owner, ARGV[1])
    end
  end
end
if relay then
  -- It has no tenant any more, so it can be neither resumed nor cancelled. The hash itself stays for its
  -- time, without content: a worker that has not noticed the end would take a missing one for lost data and
  -- restore the log.
  redis.call('HSET', response, 'tenant_id', '')
  redis.call('HDEL', response, 'job')
end
if delivering then
  redis.call('EXPIRE', events, ARGV[3], 'LT')
  redis.call('EXPIRE', journal, ARGV[3], 'LT')
else
  redis.call('UNLINK', events, journal)
end
