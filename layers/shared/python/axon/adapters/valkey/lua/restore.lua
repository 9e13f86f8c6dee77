-- Create a log that Valkey has lost again, from the events of a worker; change nothing if it exists.
-- The checkpoint is lost with the log, so the new one is in doubt: unless its relay knows more, the
-- relay closes the connection, and the client resumes with the number that it has.
-- KEYS: response, events, journal, connection, connection's responses, deadlines, relays, abandoned
-- ARGV: response id, tenant id, connection id or '' for a followed response, job, ms since the request was accepted,
--       seconds to keep, seconds that a connection can live, ms for which a late relay still counts,
--       epoch, status, ms until it is cancelled unless it is resumed or, a followed one, read,
--       API key's id, the claim's nonce or '', generation, model, the response's deadlines, its hard limit
--       in ms or 0, ms until the first look at its deadline, its lane or '', its order there or 0, the
--       response before it or '', the forks that its claimant knows or '', how many events,
--       then each event and its token ids, then each journal record's
--       kind, data and the number of the event that it follows
local response, events, journal, connection, running, deadlines, relays, abandoned = unpack(KEYS)
if redis.call('EXISTS', response) == 1 then
  return 'exists'
end
local now = now_ms()
local followed = ARGV[3] == ''
local relay = followed and '' or relay_of(connection, relays, now, ARGV[8], ARGV[7])
if not relay then
  return 'no_relay'
end
-- A Stream refuses ids that are not above its last one, and a part of it may be left.
redis.call('DEL', events, journal)
local count = tonumber(ARGV[23])
local records = (#ARGV - 23 - 2 * count) / 3
for index = 1, count do
  local event, tokens = ARGV[22 + 2 * index], ARGV[23 + 2 * index]
  if tokens == '' then
    redis.call('XADD', events, index .. '-0', 'e', event)
  else
    redis.call('XADD', events, index .. '-0', 'e', event, 't', tokens)
  end
end
for index = 1, records do
  local at = 21 + 2 * count + 3 * index
  redis.call('XADD', journal, index .. '-0', 'k', ARGV[at], 'd', ARGV[at + 1], 'a', ARGV[at + 2])
end
redis.call('HSET', response, 'tenant_id', ARGV[2], 'key_id', ARGV[12], 'connection_id', ARGV[3],
  'relay_id', relay, 'status', ARGV[10], 'epoch', ARGV[9], 'next_sequence', count,
  'next_record', records, 'checkpoint', '0?', 'format', FORMAT, 'model', ARGV[15], 'deadlines', ARGV[16],
  'opened_ms', now - ARGV[5], 'progress', progress_mark(ARGV[9], count, now))
if ARGV[17] ~= '0' then
  redis.call('HSET', response, 'limit_ms', now - ARGV[5] + ARGV[17])
end
rejoin_lane(response, not followed and connection, ARGV[1], ARGV[19], ARGV[20], ARGV[21], now)
keep_forks(response, ARGV[3], ARGV[22])
if ARGV[22] ~= '' then
  -- Of no server: the next checkpoint is compared with the forks, as the first one of a generation is.
  redis.call('HSET', response, 'checkpoint_generation', 'none')
end
if ARGV[13] ~= '' then
  redis.call('HSET', response, 'claim', ARGV[13])
end
if ARGV[14] ~= '' then
  redis.call('HSET', response, 'generation', ARGV[14])
end
if ARGV[10] == 'queued' or ARGV[10] == 'in_progress' then
  redis.call('HSET', response, 'job', ARGV[4])
  if count > 2 then
    move_deadline(response, deadlines, ARGV[1], false, now, ARGV[6])
  else
    -- The first look, not the deadline: `due.lua` decides then, from the time that it has waited.
    redis.call('ZADD', deadlines, now - ARGV[5] + ARGV[18], ARGV[1])
  end
  if not followed then
    redis.call('SADD', running, ARGV[1])
    redis.call('EXPIRE', running, ARGV[7])
  end
  redis.call('ZADD', abandoned, 'NX', now + ARGV[11], ARGV[1])
end
if not followed then
  redis.call('SADD', 'axon:relay:' .. relay .. ':responses', ARGV[1])
end
redis.call('EXPIRE', response, ARGV[6])
redis.call('EXPIRE', events, ARGV[6])
redis.call('EXPIRE', journal, ARGV[6])
return 'restored'
