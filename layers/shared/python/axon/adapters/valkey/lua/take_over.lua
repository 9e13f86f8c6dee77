-- Take over deliveries of a relay whose lease has ended. The caller names a bounded number of them, so
-- that the work of one call does not grow with what the relay has left.
-- KEYS: relays, the dead relay's responses, the successor's responses
-- ARGV: the dead relay's id, the successor's id, how many connections at most, generation, seconds that
--       a connection can live, then ids of the dead relay's responses
-- Returns false if the lease runs; else id, connection, checkpoint, lane, order and the response before it
-- in the lane, of each response taken over. A
-- relay that has restarted under its old id takes over its own deliveries.
local relays, left, own = unpack(KEYS)
local now = now_ms()
-- Its lease may have been renewed since the successor looked.
if tonumber(redis.call('ZSCORE', relays, ARGV[1]) or '0') > now then
  return false
end
local taken_over, connections, count = {}, {}, 0

-- Return whether this successor may take what a connection gets. The posts of one connection must not
-- come from two relays, and its responses may be named in several calls: the first successor that takes
-- one enters itself as the connection's relay, and the others leave the rest to it.
local function takes(id)
  if ARGV[1] == ARGV[2] then
    return true  -- what the relay does not take here, it would find later, without the doubt
  end
  local connection = 'axon:connection:' .. id
  local relay = redis.call('HGET', connection, 'relay_id')
  if relay and relay ~= ARGV[1] and relay ~= ARGV[2]
    and tonumber(redis.call('ZSCORE', relays, relay) or '0') >= now then
    return false
  end
  if count == tonumber(ARGV[3]) then
    return false
  end
  count = count + 1
  redis.call('HSET', connection, 'relay_id', ARGV[2])
  if not relay then
    redis.call('EXPIRE', connection, ARGV[5], 'NX')
  end
  return true
end

for index = 6, #ARGV do
  local id = ARGV[index]
  local key = 'axon:response:' .. id
  local meta = redis.call('HMGET', key, 'relay_id', 'connection_id', 'checkpoint',
    'checkpoint_generation', 'checkpoint_us', 'lane', 'order', 'before')
  if meta[1] ~= ARGV[1] then
    -- Lost, resumed at another relay or taken over by another successor: not this relay's any more.
    redis.call('SREM', left, id)
  else
    if connections[meta[2]] == nil then
      connections[meta[2]] = takes(meta[2])
    end
    if connections[meta[2]] then
      -- From here on `checkpoint` refuses the former relay. The successor's clock may be behind, so
      -- the time of the last call starts again.
      redis.call('HSET', key, 'relay_id', ARGV[2], 'checkpoint_us', 0)
      redis.call('SMOVE', left, own, id)
      local checkpoint = meta[3] or '0'
      -- The dead relay may have posted more, and said so to a server that is lost.
      if not is_current(generation_of_checkpoint(meta[4], meta[5]), ARGV[4]) then
        checkpoint = string.match(checkpoint, '^%d+') .. '?'
      end
      taken_over[#taken_over + 1] = { id, meta[2], checkpoint, meta[6] or '', meta[7] or '0',
        meta[8] or '' }
    end
  end
end
-- Only an empty relay is removed: a successor that dies during its work leaves the rest to the next one.
if ARGV[1] ~= ARGV[2] and redis.call('SCARD', left) == 0 then
  redis.call('ZREM', relays, ARGV[1])
end
return taken_over
