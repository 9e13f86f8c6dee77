-- Erase the content of a deleted response that has ended.
-- KEYS: turn, response, events, journal, pending history, index of stored turns by their last use
-- ARGV: response id, seconds to keep the turn's marker, seconds to keep events that are being delivered
-- Returns nothing.
local turn, response, events, journal, pending, index = unpack(KEYS)
-- The marker refuses turns that are put later. It has no field 'turn', so readers find nothing.
-- Unlinked: the memory of a long answer is freed in the background.
redis.call('UNLINK', turn, pending)
redis.call('ZREM', index, ARGV[1])
redis.call('HSET', turn, 'deleted', 1)
redis.call('EXPIRE', turn, ARGV[2])
local relay = redis.call('HGET', response, 'relay_id')
if relay then
  -- It has no tenant any more, so it can be neither resumed nor cancelled. The hash itself stays for its
  -- time, without content: a worker that has not noticed the end would take a missing one for lost data and
  -- restore the log.
  redis.call('HSET', response, 'tenant_id', '')
  redis.call('HDEL', response, 'job')
end
if relay and redis.call('SISMEMBER', 'axon:relay:' .. relay .. ':responses', ARGV[1]) == 1 then
  redis.call('EXPIRE', events, ARGV[3], 'LT')
  redis.call('EXPIRE', journal, ARGV[3], 'LT')
else
  redis.call('UNLINK', events, journal)
end
