-- Open a response's log with event 0. Idempotent by response id.
-- KEYS: response, events, connection, connection's responses, deadlines, relays, models,
--       models heard of
-- ARGV: response id, tenant id, connection id, model, job, event 0, deadline in ms, seconds to keep,
--       seconds that a connection can live, ms for which a late relay still counts,
--       1 if the model exists though nobody has announced it, ms of silence after which no worker runs
local response, events, connection, running, deadlines, relays, models, heard_of = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local heard = tonumber(redis.call('ZSCORE', heard_of, ARGV[4]) or '0')
local opened = heard < now - ARGV[12] and 'unattended' or 'opened'
if redis.call('EXISTS', response) == 1 then
  return opened
end
if ARGV[11] ~= '1' and tonumber(redis.call('ZSCORE', models, ARGV[4]) or '0') < now then
  return 'unknown_model'
end
if redis.call('HEXISTS', connection, 'gone') == 1 then
  return 'gone'
end

-- One relay serves a connection as long as it lives: posts of one connection must not race.
local relay = redis.call('HGET', connection, 'relay_id')
if not relay or tonumber(redis.call('ZSCORE', relays, relay) or '0') < now then
  relay = nil
  local least
  for _, candidate in ipairs(redis.call('ZRANGEBYSCORE', relays, now, '+inf')) do
    local load = redis.call('SCARD', 'axon:relay:' .. candidate .. ':responses')
    if not least or load < least then
      relay, least = candidate, load
    end
  end
  -- A relay whose beat is late may only be busy. If it is dead, who takes it over tells the client.
  relay = relay or redis.call('ZREVRANGEBYSCORE', relays, '+inf', now - ARGV[10], 'LIMIT', 0, 1)[1]
  if not relay then
    return 'no_relay'
  end
  -- The key may have been lost while the client stayed: only a tombstone says that it left.
  redis.call('HSET', connection, 'relay_id', relay)
  redis.call('EXPIRE', connection, ARGV[9])
end

redis.call('XADD', events, '1-0', 'e', ARGV[6])
redis.call('HSET', response, 'tenant_id', ARGV[2], 'connection_id', ARGV[3], 'relay_id', relay,
  'status', 'queued', 'epoch', 0, 'next_sequence', 1, 'job', ARGV[5])
redis.call('ZADD', deadlines, now + ARGV[7], ARGV[1])
redis.call('SADD', running, ARGV[1])
redis.call('SADD', 'axon:relay:' .. relay .. ':responses', ARGV[1])
for _, key in ipairs({ response, events, running }) do
  redis.call('EXPIRE', key, ARGV[8])
end
redis.call('PUBLISH', 'axon:relay:' .. relay, ARGV[1] .. ' ' .. ARGV[3] .. ' 0 -\n' .. ARGV[6])
return opened
