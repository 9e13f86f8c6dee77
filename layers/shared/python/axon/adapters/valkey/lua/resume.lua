-- Move the delivery of a response to a connection, from a sequence number on.
-- KEYS: response, events, journal, connection, connection's responses, relays, abandoned
-- ARGV: response id, tenant id, connection id, first sequence number to deliver,
--       seconds that a connection can live, ms for which a late relay still counts,
--       id of this resumption, by which a repeated call is recognized and changes nothing,
--       seconds to keep the events, and the other fields, of an ended response, generation
-- Returns 'resumed', 'missing', 'forked' (the client may have other events than the log), 'ahead' (of the
-- log), 'gone' (the connection) or 'no_relay'.
local response, events, journal, connection, running, relays, abandoned = unpack(KEYS)
local meta = redis.call('HMGET', response, 'tenant_id', 'connection_id', 'relay_id', 'next_sequence',
  'job', 'resumption', 'generation', 'lane', 'order', 'before',
  'requested_on', 'followed_fork')
if meta[1] ~= ARGV[2] or redis.call('EXISTS', events) == 0 then
  return 'missing'
end
-- The client asks again, and a function of the newer version may answer then.
if unreadable(response) then
  return 'no_relay'
end
if meta[6] == ARGV[7] then
  return 'resumed'
end
local first, following, ended = tonumber(ARGV[4]), tonumber(meta[4]), not meta[5]
-- An attempt went on from there while no relay could say what the readers had. Decided here, in one step with
-- the move: a claim that comes later waits for the word of this connection's relay.
if meta[12] and first > tonumber(meta[12]) then
  return 'forked'
end
-- A client that is ahead of the log of another generation has received what the server has lost. The
-- attempt that holds it appends it again, or the response fails: both reach the client from here.
local lost = not ended and not is_current(meta[7], ARGV[10])
if first > following and not lost or ended and first == following then
  return 'ahead'
end
if redis.call('HEXISTS', connection, 'gone') == 1 then
  return 'gone'
end
local relay = relay_of(connection, relays, now_ms(), ARGV[6], ARGV[5])
if not relay then
  return 'no_relay'
end
-- A followed response has none of these yet: what is removed from keys of '' is not there.
-- Connection, relay and checkpoint change in one step: each event is some relay's to deliver at any
-- moment, and the former relay's next checkpoint is refused.
redis.call('SREM', 'axon:connection:' .. meta[2] .. ':responses', ARGV[1])
if ended then
  redis.call('EXPIRE', events, ARGV[8], 'GT')
  redis.call('EXPIRE', journal, ARGV[8], 'GT')
  redis.call('EXPIRE', response, ARGV[9], 'GT')
  extend_held(ARGV[1], meta[1], meta[11], now_ms() + ARGV[8] * 1000)
else
  redis.call('SADD', running, ARGV[1])
  redis.call('EXPIRE', running, ARGV[5])
end
local delivering = redis.call('SREM', 'axon:relay:' .. meta[3] .. ':responses', ARGV[1]) == 1
redis.call('SADD', 'axon:relay:' .. relay .. ':responses', ARGV[1])
-- What is being delivered to this connection keeps its place in the lane; else it is the last one there.
local lane, order, before = meta[8] or '', meta[9], meta[10] or ''
if meta[2] ~= ARGV[3] or not delivering then
  leave_lane('axon:connection:' .. meta[2], ARGV[1], lane, before)
  order, before = join_lane(response, connection, ARGV[1], lane, now_ms())
end
-- Where another one comes first, nothing is granted: see `open.lua`.
redis.call('HSET', response, 'connection_id', ARGV[3], 'relay_id', relay, 'resumption', ARGV[7],
  'checkpoint', before == '' and ARGV[4] or ARGV[4] .. '=')
if ARGV[10] ~= '' then
  redis.call('HSET', response, 'checkpoint_generation', ARGV[10])
end
redis.call('ZREM', abandoned, ARGV[1])
if meta[3] ~= relay then
  redis.call('HSET', response, 'checkpoint_us', 0)
end
if meta[3] ~= '' and meta[3] ~= relay then
  publish_moved(meta[3], ARGV[1], meta[2], ARGV[3])
end
publish_resumed(relay, ARGV[1], ARGV[3], ARGV[4], position_fields(lane, order, before))
return 'resumed'
