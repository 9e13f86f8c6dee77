-- Open a response's log with event 0. Idempotent by response id, and by idempotency key.
-- KEYS: response, events, connection, connection's responses, deadlines, relays, models,
--       models last seen, idempotency, abandoned
-- ARGV: response id, tenant id, connection id or '' for a followed response, model, job, event 0,
--       ms until the first look at its deadline, seconds to keep,
--       seconds that a connection can live, ms for which a late relay still counts,
--       1 if the deployment has the model even while no worker has registered it, 0 if it has only
--       other models, '' if its models are not known,
--       ms without a registration after which the model counts as unattended,
--       fingerprint of the request that has the idempotency key or '', API key's id, generation,
--       the response's deadlines, its hard limit in ms or 0,
--       1 or 0 if the request says whether a disconnect cancels it, else '', the lane that it joins or '',
--       ms until a followed response is cancelled unless somebody reads it, seconds to keep the events, and
--       the other fields, of an ended response that is delivered again, name of this call
-- Returns the result (OpenResult) and, for a repeated request, the first one's id and fingerprint.
-- Bytes that the events of an answer are expected to take in Valkey: some thousand tokens.
local ANSWER_BYTES = 65536
local response, events, connection, running, deadlines, relays, models, last_seen, first, abandoned =
  unpack(KEYS)
local now = now_ms()
-- It has no connection: no relay delivers it, and nothing is written under a connection's or relay's keys.
local followed = ARGV[3] == ''
local seen_ms = tonumber(redis.call('ZSCORE', last_seen, ARGV[4]) or '0')
local opened = seen_ms < now - ARGV[12] and 'unattended' or 'opened'
-- The call may be a repetition, or its response may run already: both count as opened.
if redis.call('EXISTS', response) == 1 then
  return { opened }
end
-- A tombstone: a message of this connection may still be handled when the connection is closed.
if not followed and redis.call('HEXISTS', connection, 'gone') == 1 then
  return { 'gone' }
end
-- The caller may know the key from a moment ago, and not have asked whether it is revoked since.
if is_revoked(ARGV[14]) then
  return { 'revoked' }
end
if ARGV[13] ~= '' then
  local repeated = answer_repeated(first, ARGV[13], ARGV[3], ARGV[19], connection, running, relays, abandoned,
    { ARGV[9], ARGV[10], ARGV[21], ARGV[22] }, ARGV[23], ARGV[15])
  if repeated then
    return repeated
  end
end
if ARGV[11] ~= '1' and tonumber(redis.call('ZSCORE', models, ARGV[4]) or '0') < now then
  -- No model at all: Valkey has just started, and workers will register their models soon.
  local known = ARGV[11] == '0' or redis.call('EXISTS', models) == 1
  return { known and 'unknown_model' or 'no_model' }
end
-- Before Valkey is full, so that the answers which run can end: `axon.adapters.valkey.memory`.
local limits = redis.call('HMGET', 'axon:memory', 'full', 'tenant_bytes', 'connection_bytes')
if limits[1] == '1' then
  return { 'full' }
end
local bytes = #ARGV[5] + #ARGV[6] + ANSWER_BYTES
if not may_hold(tenant_of(ARGV[2]), bytes, limits[2], now) then
  return { 'tenant_full' }
end
if not followed and not may_hold(connection, bytes, limits[3], now) then
  return { 'connection_full' }
end
local relay = followed and '' or relay_of(connection, relays, now, ARGV[10], ARGV[9])
if not relay then
  return { 'no_relay' }
end

-- From here on all is written or, if the server dies, nothing: with event 0 the response is in the
-- deadline index, so one whose job is never sent fails by its deadline.
redis.call('XADD', events, '1-0', 'e', ARGV[6])
redis.call('HSET', response, 'tenant_id', ARGV[2], 'key_id', ARGV[14], 'connection_id', ARGV[3],
  'relay_id', relay, 'status', 'queued', 'epoch', 0, 'next_sequence', 1, 'job', ARGV[5],
  'format', FORMAT, 'model', ARGV[4], 'opened_ms', now, 'deadlines', ARGV[16],
  -- Of events 0 and 1, which are alike; `append` counts on.
  'bytes', 2 * #ARGV[6])
if ARGV[17] ~= '0' then
  redis.call('HSET', response, 'limit_ms', now + ARGV[17])
end
if ARGV[18] ~= '' then
  redis.call('HSET', response, 'cancel_on_disconnect', ARGV[18])
end
if ARGV[15] ~= '' then
  redis.call('HSET', response, 'generation', ARGV[15], 'checkpoint_generation', ARGV[15])
end
if limits[2] then
  hold(tenant_of(ARGV[2]), ARGV[1], bytes, now + ARGV[8] * 1000)
  if not followed then
    -- It counts for the connection that has sent the request, wherever it is delivered later.
    hold(connection, ARGV[1], bytes, now + ARGV[8] * 1000)
    redis.call('HSET', response, 'requested_on', ARGV[3])
  end
end
redis.call('ZADD', deadlines, now + ARGV[7], ARGV[1])
if followed then
  -- From here on, so that nothing depends on a reader's process: it may die before its first extension.
  redis.call('ZADD', abandoned, now + ARGV[20], ARGV[1])
else
  redis.call('SADD', running, ARGV[1])
  redis.call('SADD', 'axon:relay:' .. relay .. ':responses', ARGV[1])
  -- As long as the connection: an answer may take longer than any fixed time, and its end takes it out.
  redis.call('EXPIRE', running, ARGV[9])
end
redis.call('EXPIRE', response, ARGV[8])
redis.call('EXPIRE', events, ARGV[8])
if ARGV[13] ~= '' then
  redis.call('HSET', first, 'response_id', ARGV[1], 'fingerprint', ARGV[13])
  redis.call('HSET', response, 'idempotency', first)
  redis.call('EXPIRE', first, ARGV[8])
end
-- Where another one of the lane comes first, these events are not posted at once: a grant would only make
-- a relay that takes over close the connection for events that nobody has posted.
local order, before = join_lane(response, not followed and connection, ARGV[1], ARGV[19], now)
if before ~= '' then
  redis.call('HSET', response, 'checkpoint', '0=')
end
publish_events(response, relay, before == '' and '0' or '0=', ARGV[1], ARGV[3], 0, false, ARGV[6],
  not followed and position_fields(ARGV[19], order, before))
return { opened }
