-- Move the delivery of a response to a connection's lane, from a sequence number on.
-- keys: of the response, its events, its journal, the connection, the connection's responses, the relays,
--       the index of abandoned responses
-- id: response id; to: connection id; first: first sequence number to deliver; lane: '' for its own
-- times: seconds that a connection can live, ms for which a late relay still counts, seconds to keep the
--       events, and the other fields, of an ended response
-- name: of this move, by which a repeated call is recognized and changes nothing
-- Returns 'resumed', or why nothing has changed: 'forked' (the client may have other events than the log),
-- 'ahead' (of the log), 'gone' (the connection) or 'no_relay'.
local function move_delivery(keys, id, to, first, lane, times, name, generation)
  local response, events, journal, connection, running, relays, abandoned = unpack(keys)
  local meta = redis.call('HMGET', response, 'tenant_id', 'connection_id', 'relay_id', 'next_sequence',
    'job', 'resumption', 'generation', 'lane', 'order', 'before', 'requested_on', 'followed_fork')
  if meta[6] == name then
    return 'resumed'
  end
  local following, ended = tonumber(meta[4]), not meta[5]
  -- An attempt went on from there while no relay could say what the readers had. Decided here, in one step
  -- with the move: a claim that comes later waits for the word of this connection's relay.
  if meta[12] and first > tonumber(meta[12]) then
    return 'forked'
  end
  -- A client that is ahead of the log of another generation has received what the server has lost. The
  -- attempt that holds it appends it again, or the response fails: both reach the client from here.
  local lost = not ended and not is_current(meta[7], generation)
  if first > following and not lost or ended and first == following then
    return 'ahead'
  end
  if redis.call('HEXISTS', connection, 'gone') == 1 then
    return 'gone'
  end
  local life, late, keep_events, keep = unpack(times)
  local relay = relay_of(connection, relays, now_ms(), late, life)
  if not relay then
    return 'no_relay'
  end
  -- A followed response has none of these yet: what is removed from keys of '' is not there.
  -- Connection, relay and checkpoint change in one step: each event is some relay's to deliver at any
  -- moment, and the former relay's next checkpoint is refused.
  redis.call('SREM', 'axon:connection:' .. meta[2] .. ':responses', id)
  if ended then
    redis.call('EXPIRE', events, keep_events, 'GT')
    redis.call('EXPIRE', journal, keep_events, 'GT')
    redis.call('EXPIRE', response, keep, 'GT')
    extend_held(id, meta[1], meta[11], now_ms() + keep_events * 1000)
  else
    redis.call('SADD', running, id)
    redis.call('EXPIRE', running, life)
  end
  local delivering = redis.call('SREM', 'axon:relay:' .. meta[3] .. ':responses', id) == 1
  redis.call('SADD', 'axon:relay:' .. relay .. ':responses', id)
  -- What is being delivered there keeps its place; else it is the last one of the lane.
  local former, order, before = meta[8] or '', meta[9], meta[10] or ''
  if lane == '' then
    lane = former
  end
  if meta[2] ~= to or not delivering or lane ~= former then
    leave_lane('axon:connection:' .. meta[2], id, former, before)
    order, before = join_lane(response, connection, id, lane, now_ms())
  end
  -- Where another one comes first, nothing is granted: see `open.lua`.
  redis.call('HSET', response, 'connection_id', to, 'relay_id', relay, 'resumption', name,
    'checkpoint', before == '' and first or first .. '=')
  if generation ~= '' then
    redis.call('HSET', response, 'checkpoint_generation', generation)
  end
  redis.call('ZREM', abandoned, id)
  if meta[3] ~= relay then
    redis.call('HSET', response, 'checkpoint_us', 0)
  end
  if meta[3] ~= '' and meta[3] ~= relay then
    publish_moved(meta[3], id, meta[2], to)
  end
  publish_resumed(relay, id, to, first, position_fields(lane, order, before))
  return 'resumed'
end
