-- Return the relay that serves a connection; choose one if the connection has none with a lease.
-- Posts of one connection must not race, so it keeps its relay as long as the lease runs.
-- connection, relays: keys; now: ms of the Unix epoch; late: ms after the end of its lease for which a
-- relay may still be chosen; life: longest duration of a connection in s.
-- Returns the relay's id, or nil if there is no relay.
local function relay_of(connection, relays, now, late, life)
  local relay = redis.call('HGET', connection, 'relay_id')
  if relay and tonumber(redis.call('ZSCORE', relays, relay) or '0') >= now then
    return relay
  end
  relay = nil
  local least
  -- Leases are renewed all the time, so the first 32 are others at each call.
  for _, candidate in ipairs(redis.call('ZRANGEBYSCORE', relays, now, '+inf', 'LIMIT', 0, 32)) do
    local load = redis.call('SCARD', 'axon:relay:' .. candidate .. ':responses')
    if not least or load < least then
      relay, least = candidate, load
    end
  end
  -- A relay whose heartbeat is late may only be busy. If it is dead, another one takes over.
  relay = relay or redis.call('ZREVRANGEBYSCORE', relays, '+inf', now - late, 'LIMIT', 0, 1)[1]
  if relay then
    -- The key may have been lost while the client stayed: only a tombstone says that it left.
    redis.call('HSET', connection, 'relay_id', relay)
    redis.call('EXPIRE', connection, life)
  end
  return relay
end

