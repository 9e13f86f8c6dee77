-- Find the first response of an idempotency key and have it delivered to the connection that repeats the
-- request, in the lane of that request: in one step, so that it has its place there before whatever the
-- client sends next.
-- first: key of the idempotency key; fingerprint: of the repeated request; to: connection id, '' for a
-- caller that follows the response; connection, running, relays, abandoned: keys; the rest as in `move.lua`
-- Returns nil if the key does not count; else the result (OpenResult), the response's id and the fingerprint
-- of its request.
local function answer_repeated(first, fingerprint, to, lane, connection, running, relays, abandoned, times,
    name, generation)
  local id, other = unpack(redis.call('HMGET', first, 'response_id', 'fingerprint'))
  local response = id and 'axon:response:' .. id
  -- A key counts as long as its response can be delivered.
  if not id or redis.call('EXISTS', response .. ':events') == 0 then
    return nil
  end
  if to == '' or other ~= fingerprint or unreadable(response) then
    return { 'repeated', id, other }
  end
  local meta = redis.call('HMGET', response, 'connection_id', 'lane', 'status', 'checkpoint')
  local running_on = meta[3] == 'queued' or meta[3] == 'in_progress'
  -- Where it is being delivered to the same place, its events are on their way there. So are those of one
  -- that has ended behind a checkpoint that is certain: a relay writes none after the terminal event.
  -- Else the connection may have the terminal event already, and nothing more would come to it.
  local coming = meta[1] == to and (meta[2] or '') == lane
    and (running_on or string.find(meta[4] or '0', '^%d+=?$'))
  if not coming then
    local keys = { response, response .. ':events', response .. ':journal', connection, running, relays,
      abandoned }
    local moved = move_delivery(keys, id, to, 0, lane, times, name, generation)
    if moved ~= 'resumed' then
      return { moved }
    end
  end
  return { 'repeated', id, other }
end
