-- Take over the deliveries of a relay whose lease has ended, whole connections at a time: the posts of
-- one connection must not come from two relays.
-- KEYS: relays, the dead relay's responses, the successor's responses
-- ARGV: the dead relay's id, the successor's id, how many connections at most, generation
-- Returns id, connection and checkpoint of each response taken over; nothing once none is left. A relay
-- that has restarted under its old id takes over its own deliveries.
local relays, left, own = unpack(KEYS)
-- Its lease may have been renewed since the successor looked.
if tonumber(redis.call('ZSCORE', relays, ARGV[1]) or '0') > now_ms() then
  return {}
end
local taken_over, connections, count = {}, {}, 0
for _, id in ipairs(redis.call('SMEMBERS', left)) do
  local key = 'axon:response:' .. id
  local meta = redis.call('HMGET', key, 'relay_id', 'connection_id', 'checkpoint',
      'checkpoint_generation')
  -- Lost, resumed at another relay or taken over by another successor: not this relay's any more.
  if meta[1] ~= ARGV[1] then
    redis.call('SREM', left, id)
  else
    if not connections[meta[2]] and count < tonumber(ARGV[3]) then
      connections[meta[2]] = true
      count = count + 1
      local connection = 'axon:connection:' .. meta[2]
      if redis.call('HGET', connection, 'relay_id') == ARGV[1] then
        redis.call('HSET', connection, 'relay_id', ARGV[2])
      end
    end
    if connections[meta[2]] then
      -- From here on `checkpoint` refuses the former relay. The successor's clock may be behind, so
      -- the time of the last call starts again.
      redis.call('HSET', key, 'relay_id', ARGV[2], 'checkpoint_us', 0)
      redis.call('SMOVE', left, own, id)
      local checkpoint = meta[3] or '0'
      -- The dead relay may have posted more, and said so to a server that is lost.
      if not is_current(meta[4], ARGV[4]) then
        checkpoint = string.match(checkpoint, '^%d+') .. '?'
      end
      taken_over[#taken_over + 1] = { id, meta[2], checkpoint }
    end
  end
end
-- Only an empty relay is removed: a successor that dies during its work leaves the rest to the next one.
if ARGV[1] ~= ARGV[2] and redis.call('SCARD', left) == 0 then
  redis.call('ZREM', relays, ARGV[1])
end
return taken_over
