-- Move the delivery of a tenant's response to a connection, from a sequence number on.
-- KEYS: response, events, journal, connection, connection's responses, relays, abandoned
-- ARGV: response id, tenant id, connection id, first sequence number to deliver, the lane that it joins or
--       '' for its own, seconds that a connection can live, ms for which a late relay still counts, seconds
--       to keep the events, and the other fields, of an ended response, name of this call, generation
-- Returns what `move_delivery` returns, 'missing', or 'hole': the log has ended with a failure, and events
-- between the client's and the failure are lost.
local response, events = KEYS[1], KEYS[2]
local tenant, status, following = unpack(redis.call('HMGET', response, 'tenant_id', 'status', 'next_sequence'))
if tenant ~= ARGV[2] or redis.call('EXISTS', events) == 0 then
  return 'missing'
end
-- The client asks again, and a function of the newer version may answer then.
if unreadable(response) then
  return 'no_relay'
end
local first = tonumber(ARGV[4])
-- A failure gets the number that the client of that time expected next, though events before it are lost. Such
-- a failure is a single event, so the event before it tells.
if status == 'failed' and first < following - 1 then
  local before = redis.call('XRANGE', events, (following - 1) .. '-0', '+', 'COUNT', 1)
  if before[1] and before[1][1] == following .. '-0' then
    return 'hole'
  end
end
local times = { ARGV[6], ARGV[7], ARGV[8], ARGV[9] }
return move_delivery(KEYS, ARGV[1], ARGV[3], first, ARGV[5], times, ARGV[10], ARGV[11])
