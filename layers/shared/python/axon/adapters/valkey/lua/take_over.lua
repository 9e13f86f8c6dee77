-- Take what a relay without a lease has to deliver, whole connections at a time.
-- KEYS: relays, its responses, the adopter's responses
-- ARGV: its id, the adopter's id, how many connections at most
-- Returns of each response taken_over: its id, connection and checkpoint; none is left when nothing comes.
-- A relay may adopt its own former life's.
local relays, left, own = unpack(KEYS)
if tonumber(redis.call('ZSCORE', relays, ARGV[1]) or '0') > now_ms() then
  return {}
end
local taken_over, connections, count = {}, {}, 0
for _, id in ipairs(redis.call('SMEMBERS', left)) do
  local key = 'axon:response:' .. id
  local meta = redis.call('HMGET', key, 'relay_id', 'connection_id', 'checkpoint')
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
      redis.call('HSET', key, 'relay_id', ARGV[2], 'checkpoint_us', 0)
      redis.call('SMOVE', left, own, id)
      taken_over[#taken_over + 1] = { id, meta[2], meta[3] or '0' }
    end
  end
end
if ARGV[1] ~= ARGV[2] and redis.call('SCARD', left) == 0 then
  redis.call('ZREM', relays, ARGV[1])
end
return taken_over
